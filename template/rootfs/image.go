package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/template/layer"
	"croft/template/rootfs/diskfile"
)

// Within calls do on a thread on which the VPS's own files are in Dir: with an image,
// where it is mounted. If it is not, that is a mount for this call alone; files that do
// opens keep it. do runs on that thread alone. Within returns the error of do.
func (r Rootfs) Within(do func() error) error {
	if r.Image == "" {
		return do()
	}
	mounted, err := isMountPoint(r.Dir)
	if err != nil {
		return layer.HostError(err)
	}
	if mounted {
		return do()
	}
	return r.privately(do)
}

// privately calls do on a thread with a mount namespace of its own, in which an image is
// mounted.
func (r Rootfs) privately(do func() error) error {
	var err error
	if perr := nsthread.PrivateMounts(func() {
		if err = r.mountImage(); err == nil {
			err = do()
		}
	}); perr != nil {
		return layer.HostError(perr)
	}
	return err
}

// WithinBoth is Within for two root filesystems at two places, none of which is mounted.
func WithinBoth(a, b Rootfs, do func() error) error {
	if a.Image == "" && b.Image == "" {
		return do()
	}
	return a.privately(func() error {
		if err := b.mountImage(); err != nil {
			return err
		}
		return do()
	})
}

// OpenDir opens Dir, and creates it if it is missing. With an image it is the root
// directory of that, which stays mounted until the caller closes it.
func (r Rootfs) OpenDir() (dir *os.File, err error) {
	err = r.Within(func() error {
		if err = os.MkdirAll(r.Dir, 0o755); err != nil {
			return layer.HostError(fmt.Errorf("create a root filesystem: %w", err))
		}
		dir, err = os.Open(r.Dir)
		return err
	})
	return dir, err
}

// MakeDir creates Dir, for an overlay with its work directory. No-op if it exists.
func (r Rootfs) MakeDir() error {
	dir := r.work()
	if r.Plain() {
		dir = r.Dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return layer.HostError(fmt.Errorf("create a root filesystem: %w", err))
	}
	return nil
}

// mountImage mounts the image on Dir in the mount namespace of the calling thread. No-op
// without an image, and if it is mounted.
func (r Rootfs) mountImage() error { return mountImage(r.Image, r.Dir) }

// unmountImage undoes mountImage, and gives the host the space that is free in the image.
// Without that the image only takes more of the disk.
func (r Rootfs) unmountImage() error {
	if mounted, err := isMountPoint(r.Dir); err == nil && mounted && !isDir(r.Image) {
		_ = diskfile.Trim(r.Dir)
	}
	return unmount(r.Dir)
}

func mountImage(image, dir string) error {
	if image == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return layer.HostError(fmt.Errorf("mount an image: %w", err))
	}
	mounted, err := isMountPoint(dir)
	if err != nil || mounted {
		return layer.HostError(err)
	}
	if !isDir(image) {
		return diskfile.Mount(image, dir)
	}
	if err := unix.Mount(image, dir, "", unix.MS_BIND, ""); err != nil {
		return layer.HostError(fmt.Errorf("mount %s: %w", image, err))
	}
	return nil
}

// isDir reports whether an image is a directory with a quota, and no file.
func isDir(image string) bool {
	st, err := os.Lstat(image)
	return err == nil && st.IsDir()
}

// mountImage mounts the image of a frozen layer that is a VPS's own directory.
func (f Frozen) mountImage() error { return mountImage(f.Image, filepath.Dir(f.Dir)) }

// Within calls do with the directory of f, on a thread on which its files are there. Files
// that do opens keep its image. Within returns the error of do.
func (f Frozen) Within(do func(dir string) error) error {
	if f.Image == "" {
		return do(f.Dir)
	}
	var err error
	if perr := nsthread.PrivateMounts(func() {
		if err = f.mountImage(); err == nil {
			err = do(f.Dir)
		}
	}); perr != nil {
		return layer.HostError(perr)
	}
	return err
}

// isMountPoint reports whether something is mounted at dir in the mount namespace of the
// calling thread (statx(2), Linux 5.8).
func isMountPoint(dir string) (bool, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("check whether %s is mounted: %w", dir, err)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}
