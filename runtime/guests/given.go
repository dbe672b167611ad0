package guests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
	"croft/template/rootfs"
)

// Give mounts a tmpfs at dir for files that a VPS gets from the host, in this
// process's mount namespace. It replaces an earlier one. The tmpfs has no size,
// so df(1) and monitoring of full filesystems do not report its mounts inside a
// VPS (statfs(2) tells of no blocks). No VPS can write to it.
func (Access) Give(dir string) error {
	if err := unmountGiven(dir); err != nil {
		return err
	}
	if err := unix.Mount("croft", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, withoutSize+",mode=711"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return nil
}

// GiveCredentials makes the directory dir, in what Give has mounted, with files that
// only owner may read, the host's id of the guest's root.
func (Access) GiveCredentials(dir string, owner uint32, files map[string][]byte) error {
	err := os.Mkdir(dir, 0o700)
	for name, value := range files {
		file := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(file, value, 0o400)
		}
		if err == nil {
			err = os.Chown(file, int(owner), int(owner))
		}
	}
	if err == nil {
		err = errors.Join(os.Chown(dir, int(owner), int(owner)), os.Chmod(dir, 0o500))
	}
	if err != nil {
		return fmt.Errorf("give credentials: %w", err)
	}
	return nil
}

// withoutSize are the options of a tmpfs that no VPS can write to.
const withoutSize = "size=0,nr_inodes=0"

// TakeBack unmounts what Give has mounted at dir. Files of it that are mounted in
// a VPS stay there. No-op if nothing is mounted.
func (Access) TakeBack(dir string) error { return unmountGiven(dir) }

func unmountGiven(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// BootID mounts the file at path over the boot id that the VPS with init p sees.
// The file is on the host: root of the host has no id in the VPS's own tmpfs and
// cannot create a file there.
func (Access) BootID(p *inside.Process, path string) error {
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

// MountData mounts dirs in the VPS whose init is p and has not run yet. A
// directory that is missing inside is left out. The mounts are made from outside
// and not by the bundle, so that root inside may unmount them: mounts that a
// namespace inherits are locked to it (mount_namespaces(7)).
func (Access) MountData(p *inside.Process, dirs []rootfs.DataDir) error {
	for _, d := range dirs {
		if err := p.MountOn(d.Path, d.Tree); err != nil && !errors.Is(err, inside.ErrNoPlace) {
			return fmt.Errorf("cannot mount %s: %w", d.Path, err)
		}
	}
	return nil
}

// detached returns a new mount of the file at path below dir that is not mounted
// anywhere yet. The caller closes it.
func detached(dir int, path string, flags uint) (*os.File, error) {
	fd, err := unix.OpenTree(dir, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return nil, fmt.Errorf("open mount: %w", err)
	}
	return os.NewFile(uintptr(fd), "mount of "+path), nil
}
