// Package fit decides what the files of a template need before the first start of a
// VPS: an identity of its own, and no waiting for hardware. It reads a file system and
// returns a plan; it writes nothing.
package fit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"croft/internal/initkind"
	"croft/internal/vps"
)

// marker is in each file and at each line that a step has changed.
const marker = "managed by croft"

// A Guest is what is known about the VPS.
type Guest struct {
	Root    fs.FS         // its files
	Own     fs.FS         // those that were written since it was created: they stay as they are
	Init    initkind.Kind // that it boots; initkind.Croft if its image runs a command
	UUID    string
	IDs     uint32   // how many user ids it has; 0: it is privileged
	Devices []string // paths inside of devices that it has from the host
	Links   []string // the names of its interfaces
}

// An Action says what an edit does.
type Action string

// The actions.
const (
	Write  Action = "write"  // a new file, in the place of a former one
	Change Action = "change" // the content of an existing file; owner and mode stay
	Link   Action = "link"   // a symbolic link, in the place of a former file
	Remove Action = "remove"
)

// An Edit changes one file. Directories above a new one may be missing.
type Edit struct {
	Action  Action
	Path    string      // absolute, inside the VPS
	Mode    fs.FileMode // of a file that is written
	Content string      // of a file; the target of a link
}

// A Step is one step with its edits. Without edits there is nothing to do.
type Step struct {
	Name  vps.FitStep
	Edits []Edit
}

// A Plan is the steps that are needed, in their order.
type Plan []Step

// For returns the steps among asked that g needs. Files that cannot be read count as
// missing.
func For(g Guest, asked vps.Fit) Plan {
	var plan Plan
	for _, s := range []struct {
		name vps.FitStep
		make func(*planner)
	}{
		{vps.FitMachineID, machineID}, {vps.FitSSHKeys, sshKeys}, {vps.FitRandomSeed, randomSeed}, {vps.FitRootPassword, rootPassword},
		{vps.FitPing, ping}, {vps.FitConsole, console}, {vps.FitUnits, units}, {vps.FitSysctl, sysctl}, {vps.FitFstab, fstab}, {vps.FitNetworkWait, networkWait},
		{vps.FitOOM, oom},
	} {
		if !asked.Has(s.name) {
			continue
		}
		p := &planner{Guest: g}
		s.make(p)
		if len(p.edits) > 0 {
			plan = append(plan, Step{s.name, p.edits})
		}
	}
	return plan
}

// Names are the names of the steps.
func (p Plan) Names() []string {
	var names []string
	for _, s := range p {
		names = append(names, string(s.Name))
	}
	return names
}

func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p {
		fmt.Fprintf(&b, "%s\n", s.Name)
		for _, e := range s.Edits {
			switch e.Action {
			case Remove:
				fmt.Fprintf(&b, "  remove %s\n", e.Path)
			case Link:
				fmt.Fprintf(&b, "  link %s -> %s\n", e.Path, e.Content)
			case Change:
				fmt.Fprintf(&b, "  change %s\n", e.Path)
			default:
				fmt.Fprintf(&b, "  write %s %o\n", e.Path, e.Mode)
			}
			if e.Action == Write || e.Action == Change {
				for line := range strings.Lines(e.Content) {
					b.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
				}
			}
		}
	}
	return b.String()
}

// A planner collects the edits of one step. Its paths are relative to the root
// directory.
type planner struct {
	Guest
	edits []Edit
}

func (p *planner) edit(a Action, path string, mode fs.FileMode, content string) {
	p.edits = append(p.edits, Edit{a, "/" + path, mode, content})
}

// own reports whether the file was written since the VPS was created.
func (p *planner) own(path string) bool {
	if p.Own == nil {
		return false
	}
	_, err := fs.Lstat(p.Own, path)
	return err == nil
}

// has reports whether path is there, as whatever.
func (p *planner) has(path string) bool {
	_, err := fs.Lstat(p.Root, path)
	return err == nil
}

// regular reports whether path itself is a regular file.
func (p *planner) regular(path string) bool {
	info, err := fs.Lstat(p.Root, path)
	return err == nil && info.Mode().IsRegular()
}

// first returns the first of all that is there; "" if none is.
func (p *planner) first(all ...string) string {
	if n := slices.IndexFunc(all, p.has); n >= 0 {
		return all[n]
	}
	return ""
}

// program reports whether a program is where programs are.
func (p *planner) program(name string) bool {
	return p.first("usr/sbin/"+name, "sbin/"+name, "usr/bin/"+name, "bin/"+name) != ""
}

// maxFile is more than any of the files has, in bytes.
const maxFile = 1 << 20

var errTooLarge = errors.New("too large")

// read returns the content of a regular file, after links.
func (p *planner) read(path string) (string, error) {
	f, err := p.Root.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errTooLarge
	}
	return string(text), err
}

// names returns the names in a directory, sorted.
func (p *planner) names(dir string) []string {
	entries, err := fs.ReadDir(p.Root, dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

// changeLines changes the lines of a regular file, if that changes anything. The line
// ends with a newline, except for the last one.
func (p *planner) changeLines(path string, change func(line string) string) {
	if !p.regular(path) {
		return
	}
	text, err := p.read(path)
	if err != nil {
		return
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(change(line))
	}
	if b.String() != text {
		p.edit(Change, path, 0, b.String())
	}
}
