package guests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
)

// kernelLog is the file from which rsyslogd and others read kernel messages.
const kernelLog = "/proc/kmsg"

// KernelLog mounts a pipe over /proc/kmsg of the VPS whose init is p, as
// systemd-nspawn does: a program can open it, and waits for messages that never
// come. The pipe is made at path and belongs to the VPS's root. The caller closes
// the file that it gets; then readers inside get the end of the file. The file
// is nil on a kernel without /proc/kmsg.
func (Access) KernelLog(p *inside.Process, path string, first uint32) (*os.File, error) {
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

// newPipe makes a named pipe that only owner can open, and opens both its ends.
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

// HoldKernelLog opens the pipe that a running VPS has in place of /proc/kmsg; nil
// if there is none. While it is open no reader gets the end of the file.
func (Access) HoldKernelLog(p *inside.Process) (*os.File, error) { return p.OpenPipe(kernelLog) }
