package layer

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Exists reports whether name leads to a file inside t. It follows links.
func (t *Tree) Exists(name string) bool {
	_, ok := t.RealName(name)
	return ok
}

// Shows reports whether t has something at path, which may be a link. It follows no link: a path
// that leads through one has nothing.
func (t *Tree) Shows(path string) (bool, error) {
	fd, err := t.openat2(path, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	switch {
	case err == nil:
		unix.Close(fd)
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return false, nil
	}
	return false, err
}

// RealName follows all links of name inside t and returns the path of the file
// on the host. It returns false if there is no such file.
func (t *Tree) RealName(name string) (string, bool) {
	fd, err := t.openat2(name, unix.O_PATH, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return p, err == nil
}

// ReadFile returns at most limit bytes of a regular file inside t, and its
// modification time. It follows links. A file of another type is EINVAL.
func (t *Tree) ReadFile(name string, limit int64) ([]byte, time.Time, error) {
	// Without O_NONBLOCK a FIFO in an untrusted archive would block.
	fd, err := t.openat2(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	f := os.NewFile(uintptr(fd), filepath.Base(name))
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !st.Mode().IsRegular() {
		return nil, time.Time{}, unix.EINVAL
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return b, st.ModTime(), err
}

// OpenFile opens a regular file inside t for reading. It follows links. A file
// of another type is EINVAL. The caller closes the file.
func (t *Tree) OpenFile(name string) (*os.File, error) {
	fd, err := t.openat2(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	in, err := f.Stat()
	if err == nil && !in.Mode().IsRegular() {
		err = unix.EINVAL
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
