package holder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ListenConsole makes the socket at path that console clients connect to, for
// root alone. One that was there is replaced. The caller closes it.
func ListenConsole(path string) (*os.File, error) {
	f, err := listen(path, unix.SOCK_STREAM, 0o600)
	if err != nil {
		return nil, fmt.Errorf("listen for console clients: %w", err)
	}
	return f, nil
}

// ListenNotify creates the socket at path to which the VPS's init sends
// READY=1. Every process that can reach path may write to it. An existing
// socket is replaced. The caller closes it.
func ListenNotify(path string) (*os.File, error) {
	f, err := listen(path, unix.SOCK_DGRAM, 0o666)
	if err != nil {
		return nil, fmt.Errorf("listen for init's notifications: %w", err)
	}
	return f, nil
}

func listen(path string, kind int, mode uint32) (*os.File, error) {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	defer unix.Close(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	// An address has room for 107 bytes of path; a descriptor of the directory
	// has no such limit.
	short := fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path))
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: short})
	if err == nil {
		err = unix.Fchmodat(unix.AT_FDCWD, path, mode, 0)
	}
	if err == nil && kind == unix.SOCK_STREAM {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "bind", Path: path, Err: err}
	}
	return f, nil
}
