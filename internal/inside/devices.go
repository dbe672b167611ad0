package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// devDir opens /dev of p. It is an error if that is not a tmpfs: the guest has
// mounted something else there.
func (p *Process) devDir() (*os.File, error) {
	root, err := p.Root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	dev, err := openAt(root.dir, "/dev", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, explain(err)
	}
	kind, err := filesystemOf(dev)
	if err == nil && kind != unix.TMPFS_MAGIC {
		err = errors.New("/dev inside is not the tmpfs that croft mounted")
	}
	if err != nil {
		dev.Close()
		return nil, err
	}
	return dev, nil
}

// belowDev returns the path of name, which is below /dev, from there.
func belowDev(name string) (string, error) {
	rest, ok := strings.CutPrefix(path.Clean(name), "/dev/")
	if !ok {
		return "", fmt.Errorf("%s is not below /dev", name)
	}
	return rest, nil
}

// DeviceAt returns what fstat(2) says of the device node name, which is below
// /dev inside. ok is false if there is none, or something else. No element of
// name may be a link.
func (p *Process) DeviceAt(name string) (st unix.Stat_t, ok bool, err error) {
	rest, err := belowDev(name)
	if err != nil {
		return st, false, err
	}
	dev, err := p.devDir()
	if err != nil {
		return st, false, err
	}
	defer dev.Close()
	// The node may be a mount of its own.
	node, err := openAt(dev, rest, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if leadsNowhere(err) {
		return st, false, nil
	}
	if err != nil {
		return st, false, explain(err)
	}
	defer node.Close()
	if err := unix.Fstat(int(node.Fd()), &st); err != nil {
		return st, false, fmt.Errorf("look at %s: %w", name, err)
	}
	return st, isDevice(st), nil
}

func isDevice(st unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFBLK
}

// inDev calls do, with the ids of owner, with the directory /dev inside and the path
// of name, which is below it.
func (p *Process) inDev(name string, owner uint32, do func(dev *os.File, rest string) error) error {
	rest, err := belowDev(name)
	if err != nil {
		return err
	}
	dev, err := p.devDir()
	if err != nil {
		return err
	}
	defer dev.Close()
	return as(owner, func() error { return do(dev, rest) })
}

// MakePlace makes an empty file name below /dev inside, on which a device node
// can be mounted, with the directories above it. They belong to the guest's
// root, whose id on the host is owner. No-op if it is there. It is an error if
// something else is there. Only the tmpfs of /dev is changed.
func (p *Process) MakePlace(name string, owner uint32) error {
	return p.inDev(name, owner, func(dev *os.File, rest string) error {
		dir, err := (&Root{dev}).ownDirectory(path.Dir(rest))
		if err != nil {
			return err
		}
		defer dir.Close()
		fd, err := unix.Openat(int(dir.Fd()), path.Base(rest), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			return unix.Close(fd)
		}
		if !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("create %s: %w", name, err)
		}
		if empty, lookErr := emptyFile(dir, path.Base(rest)); lookErr != nil || !empty {
			return fmt.Errorf("%s is something else inside", name)
		}
		return nil
	})
}

// RemovePlace removes the file name below /dev inside if it is empty, or a device
// node that is not a mount. Other things stay. It removes what owner may remove.
func (p *Process) RemovePlace(name string, owner uint32) error {
	return p.inDev(name, owner, func(dev *os.File, rest string) error {
		dir, err := openAt(dev, path.Dir(rest), unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
		if leadsNowhere(err) {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		defer dir.Close()
		var st unix.Stat_t
		err = unix.Fstatat(int(dir.Fd()), path.Base(rest), &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !isDevice(st) && !isEmpty(st) {
			return nil
		}
		if err == nil {
			err = unix.Unlinkat(int(dir.Fd()), path.Base(rest), 0)
		}
		if errors.Is(err, unix.EBUSY) || errors.Is(err, fs.ErrNotExist) { // a mount stays
			return nil
		}
		return err
	})
}

// emptyFile reports whether base in dir is an empty file on the same filesystem.
func emptyFile(dir *os.File, base string) (bool, error) {
	f, err := openAt(dir, base, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return false, explain(err)
	}
	defer f.Close()
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	return isEmpty(st), err
}

func isEmpty(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0 }
