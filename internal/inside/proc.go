package inside

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenProc opens /proc of p, which is procfs; O_PATH. The caller closes it. What is
// mounted below it may come from the guest.
func (p *Process) OpenProc() (*os.File, error) {
	root, err := p.Root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	proc, err := openAt(root.dir, "/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, explain(err)
	}
	kind, err := filesystemOf(proc)
	if err == nil && kind != unix.PROC_SUPER_MAGIC {
		err = errors.New("/proc inside is not procfs")
	}
	if err != nil {
		proc.Close()
		return nil, err
	}
	return proc, nil
}

// UncoverSource unmounts the last mount over the file name, below the root of p, if it
// is a filesystem of this type from this source (mounts(5)). No-op if something else
// is mounted there, or nothing. It asks the filesystem nothing: a FUSE server may be
// dead. No element of name may be a link, and name has no character that mounts(5)
// escapes.
func (p *Process) UncoverSource(name, fstype, source string) error {
	table, err := p.ReadFile("mounts")
	if err != nil {
		return err
	}
	if last, ok := lastMount(string(table), name); !ok || last.fstype != fstype || last.source != source {
		return nil
	}
	return p.unmount(name, unix.MNT_DETACH, nil)
}

type mountEntry struct{ source, fstype string }

// lastMount returns the last mount on name in the text of mounts(5).
func lastMount(table, name string) (last mountEntry, ok bool) {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == name {
			last, ok = mountEntry{source: f[0], fstype: f[2]}, true
		}
	}
	return last, ok
}
