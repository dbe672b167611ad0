package diskfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// OpenReadOnly returns the root directory of the file system of a kind, such as squashfs,
// in the image path. It is mounted read-only, and nowhere (fsmount(2), Linux 5.2), as long as
// the directory or a file in it is open. The caller closes it. A file system that the kernel
// cannot read is fail.Usage; one that it does not know is fail.Host.
func OpenReadOnly(path, kind string) (int, error) {
	image, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, hostError("open an image", err)
	}
	defer image.Close()
	device, err := connect(image, unix.LO_FLAGS_READ_ONLY)
	if err != nil {
		return -1, err
	}
	defer device.Close() // the mount keeps the device
	fd, err := mountNowhere(device.Name(), kind)
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ENODEV):
		return -1, fail.New(fail.Host, "this kernel has no %s: %w", kind, err).WithHint("modprobe %s", kind)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return -1, fail.New(fail.Permission, "mount an image of %s: %w", kind, err).WithHint("croft host check")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EIO), errors.Is(err, unix.EUCLEAN):
		return -1, fail.New(fail.Usage, "the kernel cannot read the image of %s: %w", kind, err)
	}
	return -1, hostError("mount an image of "+kind, err)
}

// mountNowhere returns the open root directory of a file system on a device.
func mountNowhere(device, kind string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "source", device); err != nil {
		return -1, err
	}
	if err := unix.FsconfigSetFlag(fs, "ro"); err != nil {
		return -1, err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(mount)
	return unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}
