package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Cover mounts the detached mount tree (open_tree(2)) over the file name, in
// the mount namespace of p and below its root. No element of name may be a
// link. The covered file must be on a filesystem of type kind (statfs(2)),
// unless kind is 0. tree stays open and is the caller's.
func (p *Process) Cover(name string, tree *os.File, kind int64) error {
	root, err := p.Root()
	if err != nil {
		return err
	}
	defer root.Close()
	target, err := openAt(root.dir, name, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return explain(err)
	}
	defer target.Close()
	if info, err := target.Stat(); err != nil {
		return err
	} else if info.Mode()&(fs.ModeSymlink|fs.ModeDir) != 0 { // O_NOFOLLOW opens a link itself
		return fmt.Errorf("%s is not a file", name)
	}
	if is, err := filesystemOf(target); err != nil {
		return err
	} else if kind != 0 && is != kind {
		return fmt.Errorf("%s is on a filesystem of type %#x, not %#x", name, is, kind)
	}
	return p.mount(tree, target)
}

// ErrNoPlace means that the guest's root filesystem has no such directory.
// Callers may test for it.
var ErrNoPlace = errors.New("no such directory on the root filesystem")

// MountOn is Cover for the directory name, which must be on the guest's root
// filesystem: ErrNoPlace if it is not.
func (p *Process) MountOn(name string, tree *os.File) error {
	root, err := p.Root()
	if err != nil {
		return err
	}
	defer root.Close()
	target, err := openAt(root.dir, name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
	if leadsNowhere(err) || errors.Is(err, unix.EXDEV) {
		return ErrNoPlace
	}
	if err != nil {
		return err
	}
	defer target.Close()
	return p.mount(tree, target)
}

// mount mounts tree on target, which is open.
func (p *Process) mount(tree, target *os.File) error {
	return p.InMounts(func() error {
		err := unix.MoveMount(int(tree.Fd()), "", int(target.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
		if err != nil {
			return fmt.Errorf("mount on %s: %w", target.Name(), err)
		}
		return nil
	})
}

// OpenPipe opens the named pipe name of p's for both ends, without waiting; no
// element of name may be a link. It is nil if there is something else, or nothing.
func (p *Process) OpenPipe(name string) (*os.File, error) {
	root, err := p.Root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	found, err := openAt(root.dir, name, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if leadsNowhere(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	defer found.Close()
	info, err := found.Stat()
	if errors.Is(err, unix.ENOTCONN) {
		return nil, nil // a FUSE filesystem without a server
	}
	if err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		return nil, err
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", found.Fd()), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Uncover unmounts the last mount over the file name, below the root of p, if
// it is a filesystem of type kind, or any if kind is 0. A filesystem of another
// type stays. No-op if nothing is mounted there. No element of name may be a
// link.
func (p *Process) Uncover(name string, kind int64) error {
	return p.unmount(name, unix.MNT_DETACH, func(top *os.File) (bool, error) {
		is, err := filesystemOf(top)
		return kind == 0 || is == kind, err
	})
}

// unmount unmounts the last mount over the file name, below the root of p, with these
// flags of umount(2), if chosen is true for its root. Without chosen its filesystem is
// asked nothing. No-op if there is none. A mount in use is ErrInUse, unless the flags
// detach it. No element of name may be a link.
func (p *Process) unmount(name string, flags int, chosen func(top *os.File) (bool, error)) error {
	root, err := p.Root()
	if err != nil {
		return err
	}
	defer root.Close()
	dir, err := openAt(root.dir, path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return explain(err)
	}
	defer dir.Close()
	base := path.Base(name)
	if chosen != nil {
		top, err := openAt(dir, base, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
		if err != nil {
			return explain(err)
		}
		is, err := chosen(top)
		top.Close() // an open file would be a use
		if err != nil || !is {
			return err
		}
	}
	return p.InMounts(func() error {
		// umount(2) takes a name alone: one element, below the directory that is open.
		if err := unix.Fchdir(int(dir.Fd())); err != nil {
			return fmt.Errorf("enter the directory of %s: %w", base, err)
		}
		err := unix.Unmount(base, flags|unix.UMOUNT_NOFOLLOW)
		switch {
		case errors.Is(err, unix.EBUSY):
			return ErrInUse
		case err != nil && !errors.Is(err, unix.EINVAL):
			return fmt.Errorf("unmount %s: %w", base, err)
		}
		return nil
	})
}

func filesystemOf(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("look at the filesystem of %s: %w", f.Name(), err)
	}
	return int64(st.Type), nil
}
