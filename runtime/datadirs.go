package runtime

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"croft/template"
)

// MountData mounts from outside and not by the bundle, so that root inside may
// unmount: what a namespace inherits is locked to it (mount_namespaces(7)).
func (hostGuests) MountData(pid int, dirs []template.DataDir) error {
	if len(dirs) == 0 {
		return nil
	}
	return inMountNamespace(pid, func() error {
		for _, d := range dirs {
			if err := mountData(d); err != nil {
				return fmt.Errorf("mount %s: %w", d.Path, err)
			}
		}
		return nil
	})
}

func mountData(d template.DataDir) error {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, d.Path, &how)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(int(d.Tree.Fd()), "", fd, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}
