package runtime

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/network/guest"
)

// hostGuests is guests on the real host.
type hostGuests struct{}

// A guestLook is what a root filesystem holds, as far as a start has to know.
type guestLook struct {
	Init    string // path of its init, "" if it has none
	Kind    initkind.Kind
	Inittab string // its text; "" if it has none
}

// mostRead is more than any file has that croft reads inside, in bytes.
const mostRead = 1 << 20

func (hostGuests) Open(dir string) (*inside.Root, error) { return inside.OpenRoot(dir) }

// Look never fails because of what a guest has put there: a file that cannot be
// read is as if it were missing.
func (hostGuests) Look(root *inside.Root) guestLook {
	var look guestLook
	for _, name := range initkind.Paths() {
		if file, ok := root.Program(name); ok {
			look.Init, look.Kind = name, initkind.Of(file)
			break
		}
	}
	inittab, _ := root.Read("/etc/inittab", mostRead)
	look.Inittab = string(inittab)
	return look
}

// mountPoints are the directories that every start mounts on. What else is
// mounted is within those mounts.
func mountPoints() []string { return []string{"proc", "sys", "dev", "run"} }

func (hostGuests) Prepare(root *inside.Root, first uint32) (warnings []string, err error) {
	moved, err := root.MakeMountPoints(first, mountPoints()...)
	for _, m := range moved {
		warnings = append(warnings, fmt.Sprintf("%s inside was not a directory; it is now %s", m[0], m[1]))
	}
	return warnings, err
}

func (hostGuests) Configure(root *inside.Root, first uint32, s guest.Settings) (warnings []string, err error) {
	changes, err := guest.Files(root.FS(), s)
	if err != nil {
		return nil, err
	}
	return change(root, first, changes), nil
}

func (hostGuests) Hosts(root *inside.Root, first uint32, all []guest.Host) (warnings []string, err error) {
	changes, err := guest.Hosts(root.FS(), all)
	if err != nil {
		return nil, err
	}
	return change(root, first, changes), nil
}

// change makes the changes, as the guest's root. What a guest's own files do
// not let croft write is a warning: they must never keep it from starting.
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

// BootID lays the file at path over the boot id of the VPS whose init is p.
// The file is the host's: root of the host has no id in the VPS's own tmpfs
// and could not make one there.
func (hostGuests) BootID(p *inside.Process, path string) error {
	tree, err := detached(unix.AT_FDCWD, path, 0)
	if err == nil {
		defer tree.Close()
		err = p.Cover("/proc/sys/kernel/random/boot_id", tree, unix.PROC_SUPER_MAGIC)
	}
	if err != nil {
		return fmt.Errorf("give the VPS a boot id: %w", err)
	}
	return nil
}

// detached returns a mount of the file at path below dir that is mounted
// nowhere yet. The caller closes it.
func detached(dir int, path string, flags uint) (*os.File, error) {
	fd, err := unix.OpenTree(dir, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return nil, fmt.Errorf("open mount: %w", err)
	}
	return os.NewFile(uintptr(fd), "mount of "+path), nil
}

func (hostGuests) FreeConsole(master *os.File) error { return freeTerminal(master) }

// NewConsole mounts a new terminal over the VPS's /dev/console. A process that
// had the old one open has seen its end, and opens it again. The terminal is of
// a devpts of its own and not of the guest's: a guest can have mounted anything
// on /dev/pts, or used up what it has.
func (hostGuests) NewConsole(p *inside.Process, first uint32, scratch string) (*os.File, error) {
	const target = "/dev/console"
	master, tree, err := newTerminal(scratch, first)
	if err != nil {
		return nil, fmt.Errorf("make console: %w", err)
	}
	defer tree.Close()
	_ = p.Uncover(target, unix.DEVPTS_SUPER_MAGIC) // the old one; if it stays, the new one covers it
	if err := p.Cover(target, tree, 0); err != nil {
		master.Close()
		return nil, fmt.Errorf("make console: %w", err)
	}
	return master, nil
}
