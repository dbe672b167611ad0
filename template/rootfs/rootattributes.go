package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"os"

	"golang.org/x/sys/unix"

	"croft/template/layer"
)

// rootAttributes are the attributes of the root directory of a VPS, with the ids inside.
// An overlay shows those of its topmost directory alone.
type rootAttributes struct {
	uid, gid, mode uint32
	xattrs         map[string]string
	times          []unix.Timespec // of the last access and change; nil: not known
}

// newRoot are the attributes of a root directory that no VPS has changed.
var newRoot = rootAttributes{mode: 0o755}

// topAttributes returns the attributes that a new upper directory of r gets.
func (r Rootfs) topAttributes() (rootAttributes, error) {
	if len(r.Frozen) == 0 {
		return newRoot, nil
	}
	f := r.Frozen[0]
	return readRoot(f.Dir, layer.IDs{First: f.First, Size: f.Size})
}

// readRoot reads the attributes of dir, whose files have the given ids. Those of
// overlayfs are left out, and those that mean nothing inside.
func readRoot(dir string, ids layer.IDs) (a rootAttributes, err error) {
	f, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return a, layer.HostError(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return a, layer.HostError(fmt.Errorf("look at %s: %w", dir, err))
	}
	all, err := layer.ReadXattrs(int(f.Fd()))
	if err != nil {
		return a, layer.HostError(fmt.Errorf("%s: %w", dir, err))
	}
	a = rootAttributes{uid: st.Uid - ids.First, gid: st.Gid - ids.First, mode: st.Mode & 0o7777, times: []unix.Timespec{st.Atim, st.Mtim}}
	for name, value := range all {
		if value, ok := ids.Inside(name, value); ok && layer.KeptXattr(name) {
			if a.xattrs == nil {
				a.xattrs = map[string]string{}
			}
			a.xattrs[name] = value
		}
	}
	return a, nil
}

// give makes a the attributes of dir, whose files have the given ids.
func (a rootAttributes) give(dir string, ids layer.IDs) error {
	f, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fd := int(f.Fd())
	if err := unix.Fchown(fd, int(a.uid+ids.First), int(a.gid+ids.First)); err != nil {
		return fmt.Errorf("set the owner of %s: %w", dir, err)
	}
	if err := a.giveXattrs(fd, ids); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if err := unix.Fchmod(fd, a.mode); err != nil { // after an ACL, which changes the mode
		return fmt.Errorf("set the mode of %s: %w", dir, err)
	}
	if a.times == nil {
		return nil
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), a.times, 0); err != nil {
		return fmt.Errorf("set the times of %s: %w", dir, err)
	}
	return nil
}

func (a rootAttributes) giveXattrs(fd int, ids layer.IDs) error {
	have, err := layer.ReadXattrs(fd)
	if err != nil {
		return err
	}
	for name := range have {
		if _, wanted := a.xattrs[name]; wanted || !layer.KeptXattr(name) {
			continue
		}
		if err := unix.Fremovexattr(fd, name); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	for name, value := range a.xattrs {
		value, ok := ids.Outside(name, value)
		if !ok {
			continue
		}
		if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// same reports whether two root directories differ in their times at most.
func (a rootAttributes) same(b rootAttributes) bool {
	return a.uid == b.uid && a.gid == b.gid && a.mode == b.mode && maps.Equal(a.xattrs, b.xattrs)
}

func (r Rootfs) ids() layer.IDs { return layer.IDs{First: r.First, Size: r.Size} }
