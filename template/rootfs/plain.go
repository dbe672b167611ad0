package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/removetree"
	"croft/internal/userns"
	"croft/template/layer"
)

// Plain reports whether r is a plain tree, and no overlay.
func (r Rootfs) Plain() bool { return r.Tree != "" }

// Own returns the files that the VPS can change: the upper directory of an overlay, or
// all files of a plain root filesystem.
func (r Rootfs) Own() Frozen {
	if r.Plain() {
		return Frozen{Dir: filepath.Join(r.Dir, r.Tree), Size: r.Size, Image: r.Image}
	}
	return Frozen{Dir: r.Upper(), First: r.First, Size: r.Size, Image: r.Image}
}

// Stack returns everything that the VPS sees, the topmost layer first.
func (r Rootfs) Stack() []Frozen {
	if r.Plain() {
		return []Frozen{r.Own()}
	}
	return append(append([]Frozen{r.Own()}, r.Frozen...), r.Below()...)
}

// Below returns the layers of the template, the topmost first.
func (r Rootfs) Below() []Frozen {
	var all []Frozen
	for _, dir := range r.Layers {
		all = append(all, Frozen{Dir: dir})
	}
	return all
}

// mountPlain mounts the tree at Target with the ids of the VPS: a file of its user 7
// has the owner 7 on disk, and the host's id of that user in the mount. Writing through
// an idmapped mount needs Linux 5.12.
func (r Rootfs) mountPlain() error {
	if err := os.MkdirAll(r.Target, 0o755); err != nil {
		return layer.HostError(fmt.Errorf("mount a root filesystem: %w", err))
	}
	dir := r.Own().Dir
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return layer.HostError(fmt.Errorf("clone %s: %w", dir, err))
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE, Attr_clr: strayFlags(fd)}
	if r.Size > 0 {
		ns, err := userns.New(0, r.First, r.Size)
		if err != nil {
			return err
		}
		defer ns.Close()
		attr.Attr_set, attr.Userns_fd = unix.MOUNT_ATTR_IDMAP|unix.MOUNT_ATTR_NODEV, uint64(ns.Fd())
		attr.Attr_clr &^= unix.MOUNT_ATTR_NODEV
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return fail.New(fail.Host, "the filesystem of %s cannot be mounted with a VPS's ids: %w", dir, err).
			WithHint("this needs ext4, xfs, btrfs or tmpfs (Linux 6.3) under --root")
	}
	if err != nil {
		return fmt.Errorf("give %s a VPS's ids: %w", dir, err)
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, r.Target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return layer.HostError(fmt.Errorf("mount %s: %w", dir, err))
	}
	return nil
}

// strayFlags returns the flags of the mount fd that the root filesystem of a VPS must
// not have from the host's.
func strayFlags(fd int) uint64 {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return 0
	}
	var stray uint64
	for has, attr := range map[int64]uint64{unix.ST_NOSUID: unix.MOUNT_ATTR_NOSUID, unix.ST_NODEV: unix.MOUNT_ATTR_NODEV, unix.ST_NOEXEC: unix.MOUNT_ATTR_NOEXEC} {
		if int64(st.Flags)&has != 0 {
			stray |= attr
		}
	}
	return stray
}

// others are the directories in Dir that can have files of a VPS.
var others = []string{"upper", "upper.new", "work", "tree", "tree2"}

// HasOthers reports whether RemoveOthers has something to remove.
func (r Rootfs) HasOthers() bool {
	return slices.ContainsFunc(r.others(), func(dir string) bool { _, err := os.Lstat(dir); return err == nil })
}

// others returns what can be in Dir and r does not use.
func (r Rootfs) others() []string {
	var all []string
	for _, name := range others {
		if r.Plain() && name != r.Tree || !r.Plain() && name != "upper" && name != "work" {
			all = append(all, filepath.Join(r.Dir, name))
		}
	}
	return all
}

// RemoveOthers removes what Dir has and r does not use: the files of a storage that the
// VPS had before, or was to get. No-op without any. It must not be mounted.
func (r Rootfs) RemoveOthers(ctx context.Context) error {
	for _, dir := range r.others() {
		if err := removetree.Remove(ctx, dir, ""); err != nil {
			return layer.HostError(err)
		}
	}
	return nil
}
