// Package guests changes and reads what a VPS has inside: its files, device
// nodes, console and mounts. It reaches them only through internal/inside.
package guests

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/network/guest"
)

// Access is access to the guests of this host. In its methods first is the id
// on the host of the guest's root.
type Access struct{}

// An Init is the init program of a root filesystem.
type Init struct {
	Path    string // "" if there is none
	Kind    initkind.Kind
	Inittab string // text of /etc/inittab; "" if there is none
}

// Open opens the root filesystem of a VPS that is mounted at dir.
func (Access) Open(dir string) (*inside.Root, error) { return inside.OpenRoot(dir) }

// FindInit returns the init of a root filesystem. A file that cannot be read
// counts as missing.
func (Access) FindInit(root *inside.Root) Init {
	var init Init
	for _, name := range initkind.Paths() {
		if file, ok := root.Program(name); ok {
			init.Path, init.Kind = name, initkind.Of(file)
			break
		}
	}
	inittab, _ := root.Read("/etc/inittab", inside.MaxRead)
	init.Inittab = string(inittab)
	return init
}

// mountPoints are the directories that every start mounts on. All other mounts
// are below these.
func mountPoints() []string { return []string{"proc", "sys", "dev", "run"} }

// Prepare makes sure that root has the directories that a start mounts on. A
// file or a link in their place is renamed, with a warning.
func (Access) Prepare(root *inside.Root, first uint32) (warnings []string, err error) {
	moved, err := root.MakeMountPoints(first, mountPoints()...)
	for _, m := range moved {
		warnings = append(warnings, fmt.Sprintf("%s inside was not a directory; it is now %s", m[0], m[1]))
	}
	return warnings, err
}

// Configure makes the guest's own files match s. A file that cannot be changed
// is a warning.
func (Access) Configure(root *inside.Root, first uint32, s guest.Settings) (warnings []string, err error) {
	changes, err := guest.Files(root.FS(), s)
	if err != nil {
		return nil, err
	}
	return change(root, first, changes), nil
}

// Hosts makes the part of /etc/hosts that belongs to croft list all. A file that
// cannot be changed is a warning.
func (Access) Hosts(root *inside.Root, first uint32, all []guest.Host) (warnings []string, err error) {
	changes, err := guest.Hosts(root.FS(), all)
	if err != nil {
		return nil, err
	}
	return change(root, first, changes), nil
}

// change makes the changes, as the guest's root. A file that cannot be changed is
// a warning: a guest's own files must never keep it from starting.
func change(root *inside.Root, first uint32, changes guest.Changes) (warnings []string) {
	failed := map[string][]string{} // by reason
	note := func(name string, err error) {
		if err != nil {
			failed[err.Error()] = append(failed[err.Error()], name)
		}
	}
	for name, err := range changes.Unreadable {
		note(name, err)
	}
	for _, f := range changes.Files {
		note(f.Path, root.Replace(f.Path, f.Mode, f.Content, first))
	}
	for _, name := range changes.Remove {
		note(name, root.Remove(name, first))
	}
	for _, reason := range slices.Sorted(maps.Keys(failed)) {
		slices.Sort(failed[reason])
		warnings = append(warnings, fmt.Sprintf("cannot change %s inside: %s", strings.Join(failed[reason], ", "), reason))
	}
	return warnings
}
