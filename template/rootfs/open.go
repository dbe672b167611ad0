package rootfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/template/layer"
)

// Open mounts r where no other process sees it, and returns its root directory,
// opened with O_PATH, for reading and writing. Owners are the ids that the VPS
// has on the host. The caller closes it; the mount ends when it and every file
// that was opened through it are closed. r must not be mounted anywhere else
// meanwhile.
func (r Rootfs) Open() (root *os.File, err error) {
	if perr := nsthread.PrivateMounts(func() { root, err = r.openMounted() }); perr != nil {
		return nil, layer.HostError(perr)
	}
	return root, err
}

func (r Rootfs) openMounted() (*os.File, error) {
	if err := r.Mount(); err != nil {
		return nil, err
	}
	fd, err := unix.Open(r.Target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(layer.HostError(fmt.Errorf("open a root filesystem: %w", err)), r.Unmount())
	}
	root := os.NewFile(uintptr(fd), "/")
	if err := r.Unmount(); err != nil { // from this namespace alone: root holds it
		root.Close()
		return nil, err
	}
	return root, nil
}

// MountAndOpen mounts r as Mount does, and returns its root directory, opened with O_PATH. The
// caller closes it. r stays mounted in the mount namespace of the calling thread.
func (r Rootfs) MountAndOpen() (*os.File, error) {
	if err := r.Mount(); err != nil {
		return nil, err
	}
	root, err := os.OpenFile(r.Target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, errors.Join(layer.HostError(fmt.Errorf("open a root filesystem: %w", err)), r.Unmount())
	}
	return root, nil
}
