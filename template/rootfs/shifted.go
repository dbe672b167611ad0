package rootfs

import (
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/userns"
	"croft/template/layer"
)

// OpenFrozen opens the n-th frozen layer of r, read-only, with the ids of r. It is
// mounted where no process sees it, and the mount ends with the file, which the caller
// closes.
func (r Rootfs) OpenFrozen(n int) (*os.File, error) {
	l := r.lowers()[n]
	if l.size == 0 {
		f, err := os.OpenFile(l.dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil, layer.HostError(err)
		}
		return f, nil
	}
	ns, err := userns.New(l.first, r.First, l.size)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	mount, err := openShifted(l.dir, int(ns.Fd()))
	if err != nil {
		return nil, err
	}
	defer unix.Close(mount)
	fd, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, layer.HostError(err)
	}
	return os.NewFile(uintptr(fd), l.dir), nil
}
