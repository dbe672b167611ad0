package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
)

// given makes the filesystem for the files of the host's that the VPS gets. It is
// mounted until the VPS has them, for this monitor alone.
func (mon *monitor) given(undo *undo) error {
	dir := givenDir(mon.store, mon.name)
	if err := makeGivenDir(dir); err != nil {
		return err
	}
	undo.arm(func() error { return mon.guests.TakeBack(dir) })
	return mon.guests.Give(dir)
}

// makeGivenDir creates the directory dir that Give mounts on. One that exists is a
// no-op.
func makeGivenDir(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	return nil
}

// Give mounts a tmpfs at dir that has no size, so that df (statfs(2), no blocks)
// and whatever warns of full filesystems leaves out what is mounted of it in a
// VPS. No VPS can write to it.
func (hostGuests) Give(dir string) error {
	if err := unmountGiven(dir); err != nil {
		return err
	}
	if err := unix.Mount("croft", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, withoutSize+",mode=711"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return nil
}

// withoutSize are the options of a tmpfs that no VPS can write to.
const withoutSize = "size=0,nr_inodes=0"

func (hostGuests) TakeBack(dir string) error { return unmountGiven(dir) }

// unmountGiven unmounts what Give has mounted at dir. Nothing there is a no-op.
func unmountGiven(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// kernelLog is where programs such as rsyslogd read the kernel's messages.
const kernelLog = "/proc/kmsg"

// KernelLog lays a pipe over the /proc/kmsg of the VPS whose init is p, as
// systemd-nspawn does: a program can open it, and waits for messages that never
// come. The pipe is made at path and belongs to the VPS's root, the host's id
// first. Where the kernel has no /proc/kmsg there is none, and the file is nil.
func (hostGuests) KernelLog(p *inside.Process, path string, first uint32) (*os.File, error) {
	pipe, err := newPipe(path, first)
	if err == nil {
		var tree *os.File
		if tree, err = detached(unix.AT_FDCWD, path, 0); err == nil {
			err = p.Cover(kernelLog, tree, unix.PROC_SUPER_MAGIC)
			tree.Close()
		}
		if err != nil {
			pipe.Close()
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("give the VPS a kernel log: %w", err)
	}
	return pipe, nil
}

// newPipe makes a named pipe that only owner can open, and opens it for both
// ends.
func newPipe(path string, owner uint32) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	if err := os.Lchown(path, int(owner), int(owner)); err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// HoldKernelLog opens the pipe that a running VPS has in place of /proc/kmsg, nil
// if it has none. As long as it is open no reader comes to its end.
func (hostGuests) HoldKernelLog(p *inside.Process) (*os.File, error) { return p.OpenPipe(kernelLog) }
