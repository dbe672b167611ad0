package tree

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// buffers are those of one worker.
type buffers struct{ in, old []byte }

const chunk = 1 << 18 // bytes that are copied at once

// file copies the file name, which is not a directory. st is its stat, and last
// the entry of the last pass or nil. It returns nil if the file was replaced.
func (d *dirCopy) file(name string, st *unix.Stat_t, last *entry) (*entry, error) {
	from, err := openBelow(d.from, name, unix.O_PATH)
	if vanished(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(from)
	var now unix.Stat_t
	if err := unix.Fstat(from, &now); err != nil {
		return nil, err
	}
	if now.Ino != st.Ino || kindOf(now.Mode) != kindOf(st.Mode) {
		return nil, nil // the next pass copies the file that is there now
	}
	to, err := d.content(from, name, &now, last)
	if err != nil {
		return nil, err
	}
	defer unix.Close(to)
	if err := copyAttributes(from, to, &now); err != nil {
		return nil, err
	}
	d.files.Add(1)
	next := &entry{name: name, mode: now.Mode, ino: now.Ino, ctime: d.settledAt(&now)}
	if now.Nlink > 1 {
		var copied unix.Stat_t
		if err := unix.Fstat(to, &copied); err != nil {
			return nil, err
		}
		next.copy = copied.Ino
	}
	return next, nil
}

// content makes the content of name in the copy that of the file from, which is
// opened with O_PATH. It returns the open copy.
func (d *dirCopy) content(from int, name string, st *unix.Stat_t, last *entry) (to int, err error) {
	if kindOf(st.Mode) != unix.S_IFREG {
		return d.node(from, name, st, last)
	}
	// It is a regular file: opening it does not wait, except for a lease that a
	// process holds (fcntl(2)), for lease-break-time at most.
	source, err := unix.Open(handle(from), unix.O_RDONLY|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) {
		source, err = unix.Open(handle(from), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(source)
	// The same file has changed: its copy may have other names, which stay.
	update := last != nil && kindOf(last.mode) == unix.S_IFREG && last.ino == st.Ino
	flags := unix.O_RDWR
	if update {
		err = d.openCopy()
	} else {
		flags |= unix.O_CREAT | unix.O_EXCL
		err = d.replace(last)
	}
	if err != nil {
		return -1, err
	}
	if to, err = unix.Openat(d.to, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600); err != nil {
		return -1, err
	}
	if err = d.data(source, to, name, st, update); err != nil {
		unix.Close(to)
		return -1, err
	}
	return to, nil
}

// node creates a link, a FIFO, a socket, a device or a whiteout like the file from.
func (d *dirCopy) node(from int, name string, st *unix.Stat_t, last *entry) (int, error) {
	err := d.replace(last)
	if err == nil && kindOf(st.Mode) == unix.S_IFLNK {
		target := make([]byte, unix.PathMax)
		var n int
		if n, err = unix.Readlinkat(from, "", target); err == nil {
			err = unix.Symlinkat(string(target[:n]), d.to, name)
		}
	} else if err == nil {
		err = unix.Mknodat(d.to, name, kindOf(st.Mode)|0o600, int(st.Rdev))
	}
	if err != nil {
		return -1, err
	}
	return openBelow(d.to, name, unix.O_PATH)
}

// data makes the content of the file to that of the file from, whose name and stat are
// given, with the same holes. If update is set, to has an older content.
func (d *dirCopy) data(from, to int, name string, st *unix.Stat_t, update bool) error {
	size := st.Size
	defer d.done.Add(size)
	if size > 0 && !d.noClone.Load() && d.shared(from, to, name, st) {
		return unix.Ftruncate(to, size)
	}
	if size > 0 || update {
		if err := unix.Ftruncate(to, size); err != nil {
			return err
		}
	}
	for at := int64(0); at < size; {
		start, end, err := nextData(from, at, size)
		if err != nil {
			return err
		}
		if update && start > at {
			if err := unix.Fallocate(to, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, start-at); err != nil {
				return fmt.Errorf("make a hole: %w", err)
			}
		}
		if err := d.dataRange(from, to, start, end, update); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// shared makes the file to share the blocks of the file from, if the filesystem can.
func (d *dirCopy) shared(from, to int, name string, st *unix.Stat_t) bool {
	if len(d.origins) > 0 {
		if from = d.origin(name, st); from < 0 {
			return false
		}
		defer unix.Close(from)
	}
	err := unix.IoctlFileClone(to, from)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EXDEV) {
		d.noClone.Store(true)
	}
	return err == nil
}

// origin opens the file of an origin that an overlay of the origins shows as the file
// name with the stat st; -1 if it is not found. Files of an overlay cannot share blocks
// with others, and those of its layers can.
func (d *dirCopy) origin(name string, st *unix.Stat_t) int {
	path := join(d.path(), name)
	for _, o := range d.origins {
		fd, err := openBelow(int(o.Fd()), path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOATIME)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return -1
		}
		var found unix.Stat_t
		if unix.Fstat(fd, &found) == nil && found.Ino == st.Ino && found.Size == st.Size && found.Mtim == st.Mtim && kindOf(found.Mode) == unix.S_IFREG {
			return fd
		}
		unix.Close(fd)
		return -1
	}
	return -1
}

// nextData returns the first range of bytes of the file from that has data, from
// at on and before size. It is empty, at size, if the rest is a hole. On ext4 and
// btrfs the call waits until a write(2) in progress has ended.
func nextData(from int, at, size int64) (start, end int64, err error) {
	start, err = unix.Seek(from, at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case errors.Is(err, unix.EINVAL):
		return at, size, nil // the filesystem does not know of holes
	case err != nil:
		return 0, 0, err
	}
	if start = min(start, size); start == size {
		return size, size, nil
	}
	end, err = unix.Seek(from, start, unix.SEEK_HOLE)
	if errors.Is(err, unix.ENXIO) { // the file was cut meanwhile
		return start, size, nil
	}
	return start, min(end, size), err
}

// dataRange copies the bytes from start to end. Bytes that the copy has already
// are not written again: a small change of a large file writes little.
func (d *dirCopy) dataRange(from, to int, start, end int64, update bool) error {
	if d.buf.in == nil {
		d.buf.in, d.buf.old = make([]byte, chunk), make([]byte, chunk)
	}
	for start < end {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		want := min(chunk, end-start)
		n, err := pread(from, d.buf.in[:want], start)
		if n == 0 || err != nil { // 0: the file was cut meanwhile
			return err
		}
		in := d.buf.in[:n]
		same := false
		if update {
			old, err := pread(to, d.buf.old[:n], start)
			if err != nil {
				return err
			}
			same = bytes.Equal(in, d.buf.old[:old])
		}
		if !same {
			if err := pwrite(to, in, start); err != nil {
				return err
			}
			d.bytes.Add(int64(n))
		}
		start += int64(n)
	}
	return nil
}

func pread(fd int, b []byte, at int64) (int, error) {
	for {
		n, err := unix.Pread(fd, b, at)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func pwrite(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}
