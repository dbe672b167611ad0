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
func OpenReadOnly(path, kind string) (int, error) { return OpenPart(path, kind, 0, 0) }

// OpenPart is OpenReadOnly of the file system in length bytes from offset on; 0 is all of
// the image. A journal is not replayed, so a file system that was not unmounted is read as it is.
func OpenPart(path, kind string, offset, length int64) (int, error) {
	image, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, hostError("open an image", err)
	}
	defer image.Close()
	device, err := connectPart(image, unix.LO_FLAGS_READ_ONLY, offset, length)
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

// withoutJournal are the options of file systems that would replay their journal even on a
// mount that is read-only, which the device does not allow.
var withoutJournal = map[string]string{"ext4": "noload", "xfs": "norecovery"}

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
	flags := []string{"ro"}
	if flag, ok := withoutJournal[kind]; ok {
		flags = append(flags, flag)
	}
	for _, flag := range flags {
		if err := unix.FsconfigSetFlag(fs, flag); err != nil {
			return -1, err
		}
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
