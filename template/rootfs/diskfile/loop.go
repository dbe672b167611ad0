package diskfile

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/nsthread"
)

// attachTries is how many times a loop device is looked for that no other process takes
// at the same time.
const attachTries = 64

// attach opens the loop device of the image path. It makes one if there is none. The
// device is there as long as it is open or mounted.
func attach(path string) (*os.File, error) {
	unlock, err := lock(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	device, err := attached(path)
	if device != nil || err != nil {
		return device, err
	}
	image, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, hostError("open an image", err)
	}
	defer image.Close()
	// The kernel leaves direct I/O out where the file system of the image has none.
	return connect(image, unix.LO_FLAGS_DIRECT_IO)
}

// connect opens a free loop device and connects it to an image (LOOP_CONFIGURE, Linux 5.8).
// The device is there as long as it is open or mounted.
func connect(image *os.File, flags uint32) (*os.File, error) { return connectPart(image, flags, 0, 0) }

// connectPart is connect for length bytes of the image from offset on; 0 is all of it.
func connectPart(image *os.File, flags uint32, offset, length int64) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fail.New(fail.Host, "this host has no loop devices, which disk limits and squashfs need: %w", err).WithHint("modprobe loop")
	}
	defer control.Close()
	for range attachTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, hostError("find a free loop device", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, hostError("open a loop device", err)
		}
		err = configure(device, image, flags, offset, length)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) { // another process has taken it
			return nil, hostError("set up a loop device for "+image.Name(), err)
		}
	}
	return nil, fail.New(fail.Host, "no free loop device for %s", image.Name())
}

func configure(device, image *os.File, flags uint32, offset, length int64) error {
	config := unix.LoopConfig{Fd: uint32(image.Fd())}
	config.Info.Offset, config.Info.Sizelimit = uint64(offset), uint64(length)
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | flags
	copy(config.Info.File_name[:len(config.Info.File_name)-1], image.Name())
	return ioctl(device, unix.LOOP_CONFIGURE, unsafe.Pointer(&config))
}

// attached opens the loop device of the image path; nil if it has none.
func attached(path string) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, hostError("look at an image", err)
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || filepath.Base(strings.TrimSpace(string(text))) != filepath.Base(path) {
			continue
		}
		device, err := os.OpenFile("/dev/"+strings.Split(file, "/")[3], os.O_RDWR, 0)
		if err != nil {
			continue // it has just been released
		}
		// While it is open it keeps its file.
		info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
		if err == nil && info.Inode == st.Ino && info.Device == st.Dev {
			return device, nil
		}
		device.Close()
	}
	return nil, nil
}

// InUse reports whether an image is mounted anywhere.
func InUse(path string) (bool, error) {
	device, err := attached(path)
	if device == nil {
		return false, err
	}
	device.Close()
	return true, nil
}

// privately calls do with a directory on which the image path is mounted for this call
// alone, and with its loop device. On an error do was not called.
func privately(path string, do func(dir string, device *os.File)) error {
	device, err := attach(path)
	if err != nil {
		return err
	}
	defer device.Close()
	if perr := nsthread.PrivateMounts(func() {
		// The mount hides the directory of the image on this thread alone.
		dir := filepath.Dir(path)
		if err = Mount(path, dir); err == nil {
			do(dir, device)
			err = unix.Unmount(dir, unix.MNT_DETACH)
		}
	}); perr != nil {
		return hostError("mount "+path, perr)
	}
	return err
}

// resize makes the mounted file system at dir as many blocks large (EXT4_IOC_RESIZE_FS,
// Linux 3.3).
func resize(dir string, blocks int64) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	const ext4Resize = 0x40086610 // _IOW('f', 16, __u64), fs/ext4/ext4.h
	return ioctl(f, ext4Resize, unsafe.Pointer(&blocks))
}

func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// fitrim is FITRIM of include/uapi/linux/fs.h: _IOWR('X', 121, struct fstrim_range).
const fitrim = 0xc0185879

// Trim gives the host all space that is free in the file system mounted at dir. The
// mount option discard gives back most of it earlier, and sometimes not all (Linux 6.18).
// It needs CAP_SYS_ADMIN of the host (FITRIM, Linux 2.6.37).
func Trim(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return hostError("trim an image", err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil { // what was deleted is free after that
		return hostError("trim an image", err)
	}
	all := struct{ start, length, least uint64 }{length: math.MaxUint64}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fitrim, uintptr(unsafe.Pointer(&all))); errno != 0 {
		return hostError("trim an image", errno)
	}
	return nil
}
