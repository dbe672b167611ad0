package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
)

// The sources of what croft mounts in a VPS, as mounts(5) shows them.
const (
	FromGiven   = "croft"      // files of the host: sockets, the boot id, credentials
	FromDevices = "croft-dev"  // device nodes
	FromFiles   = "fuse.croft" // files that the monitor answers for
	FromInit    = "init"       // the program of croft that is the init of an image without one
	FromData    = "data"       // directories of the VPS that are not on the overlay
)

// A Mount is a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
	ID                     int
	Root, At, Type, Source string
}

// ParseMounts reads /proc/PID/mountinfo.
func ParseMounts(text string) ([]Mount, error) {
	var all []Mount
	for line := range strings.Lines(text) {
		place, kind, ok := strings.Cut(strings.TrimRight(line, "\n"), " - ")
		fields, of := strings.Fields(place), strings.Fields(kind)
		if !ok || len(fields) < 6 || len(of) < 2 {
			return nil, fmt.Errorf("invalid line of mountinfo: %q", line)
		}
		id, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("invalid line of mountinfo: %q", line)
		}
		all = append(all, Mount{ID: id, Root: unescape(fields[3]), At: unescape(fields[4]), Type: of[0], Source: of[1]})
	}
	return all, nil
}

// unescape replaces the octal escapes of mountinfo.
func unescape(text string) string {
	for _, c := range []string{" ", "\t", "\n", `\`} {
		text = strings.ReplaceAll(text, fmt.Sprintf(`\%03o`, c[0]), c)
	}
	return text
}

// saved are the filesystems whose mounts and files criu saves.
var saved = []string{"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"}

// Given returns those of mounts that criu does not save, because croft mounts them again.
// data are the data directories of the VPS. It is fail.State if neither criu nor croft can
// make one of the mounts again.
func Given(mounts []Mount, data []string) ([]state.GivenMount, error) {
	var given []state.GivenMount
	seen := map[string]bool{}
	for _, m := range mounts {
		if m.At == "/" && !seen["/"] {
			seen["/"] = true
			continue
		}
		g := state.GivenMount{At: m.At, From: origin(m, data), Root: m.Root}
		if g.From != "" && slices.Contains(given, g) {
			continue // the kernel has propagated it to a copy of the mount below
		}
		if seen[m.At] {
			return nil, fail.New(fail.State, "something is mounted over %s: croft cannot save that", m.At)
		}
		seen[m.At] = true
		switch {
		case g.From != "":
			given = append(given, g)
		case !slices.Contains(saved, m.Type):
			return nil, fail.New(fail.State, "a filesystem of type %s is mounted on %s: croft cannot save that", m.Type, m.At)
		}
	}
	return given, nil
}

// CheckVPS is fail.State if criu and croft cannot save the VPS whose init is given and whose
// processes have these pids. data are its data directories. The result are the mounts that
// croft makes again.
func (Criu) CheckVPS(init inside.Identity, pids []int, data []string) ([]state.GivenMount, error) {
	process, err := init.Open()
	if err != nil {
		return nil, fail.New(fail.State, "its init has just ended")
	}
	defer process.Close()
	text, err := process.ReadFile("mountinfo")
	if err != nil {
		return nil, err
	}
	mounts, err := ParseMounts(string(text))
	if err != nil {
		return nil, err
	}
	given, err := Given(mounts, data)
	if err != nil {
		return nil, err
	}
	all, err := Look(pids)
	if err != nil {
		return nil, err
	}
	return given, CheckProcesses(init.PID, all, mounts)
}

// origin returns the part of croft that has mounted m, or "".
func origin(m Mount, data []string) string {
	switch {
	case m.Type == FromFiles:
		return FromFiles
	case m.Type == "tmpfs" && (m.Source == FromGiven || m.Source == FromDevices):
		return m.Source
	case m.At == bundles.InitPath:
		return FromInit
	case slices.Contains(data, m.At) && !slices.Contains(saved, m.Type):
		return FromData
	}
	return ""
}

// A Process is a process of a VPS as /proc shows it.
type Process struct {
	PID, Parent int
	Name        string
	Namespaces  map[string]string // by the names of /proc/PID/ns
	Files       []OpenFile
}

// An OpenFile is a descriptor of a process.
type OpenFile struct {
	Path  string
	Mount int
}

// kinds are the namespaces that all processes of a VPS must share.
var kinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}

// Look reads the processes with these pids. A process that has ended is left out.
func Look(pids []int) ([]Process, error) {
	var all []Process
	for _, pid := range pids {
		p, err := look(pid)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at process %d: %w", pid, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func look(pid int) (Process, error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return Process{}, err
	}
	p := Process{PID: pid, Name: field(string(status), "Name"), Namespaces: map[string]string{}}
	p.Parent, _ = strconv.Atoi(field(string(status), "PPid"))
	for _, kind := range kinds {
		if p.Namespaces[kind], err = os.Readlink(filepath.Join(dir, "ns", kind)); err != nil && !os.IsNotExist(err) {
			return Process{}, err
		}
	}
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return Process{}, err
	}
	for _, fd := range fds {
		to, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		info, err2 := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
		if err != nil || err2 != nil {
			continue // it has closed the file
		}
		mount, _ := strconv.Atoi(field(string(info), "mnt_id"))
		p.Files = append(p.Files, OpenFile{Path: to, Mount: mount})
	}
	return p, nil
}

// field returns the value of a line NAME:<blanks>VALUE of a file of /proc.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// CheckProcesses is fail.State if criu cannot save all processes of a VPS with these
// mounts: one is not a descendant of init, has namespaces of its own, or has a file open
// that the monitor answers for.
func CheckProcesses(init int, all []Process, mounts []Mount) error {
	members := map[int]Process{}
	for _, p := range all {
		members[p.PID] = p
	}
	first, ok := members[init]
	if !ok {
		return fail.New(fail.State, "its init has just ended")
	}
	for _, p := range all {
		if _, ok := members[p.Parent]; !ok && p.PID != init {
			return fail.New(fail.State, "process %d (%s) belongs to a command of croft exec or croft enter, and not to its init", p.PID, p.Name)
		}
		for _, kind := range kinds {
			if p.Namespaces[kind] != first.Namespaces[kind] && p.Namespaces[kind] != "" {
				return fail.New(fail.State, "process %d (%s) has a %s namespace of its own: croft does not save containers or sandboxes in a VPS", p.PID, p.Name, kind)
			}
		}
		for _, f := range p.Files {
			i := slices.IndexFunc(mounts, func(m Mount) bool { return m.ID == f.Mount })
			if i >= 0 && mounts[i].Type == FromFiles {
				return fail.New(fail.State, "process %d (%s) has %s open, a file that croft answers for: criu cannot save that", p.PID, p.Name, mounts[i].At)
			}
		}
	}
	return nil
}
