package layer

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// exists reports whether name leads to a file inside t.
func (t *Tree) Exists(name string) bool {
	_, ok := t.RealName(name)
	return ok
}

// realName is the path that name leads to inside t, all links followed.
func (t *Tree) RealName(name string) (string, bool) {
	fd, err := t.openat2(name, unix.O_PATH, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return p, err == nil
}

// readFile reads at most limit bytes of the regular file that name leads to
// inside t, and its time.
func (t *Tree) ReadFile(name string, limit int64) ([]byte, time.Time, error) {
	// A FIFO in a foreign archive would block without O_NONBLOCK.
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

// openFile opens the regular file that name leads to inside t.
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
