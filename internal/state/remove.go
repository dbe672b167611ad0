package state

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// removeTree deletes path and what is below it, what is called last directly
// below it at the very end. It neither crosses a mount point nor follows a
// link, whatever is renamed meanwhile. Absent is success.
func removeTree(ctx context.Context, path, last string) error {
	parent, err := os.Open(filepath.Dir(path))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return hostError("open", filepath.Dir(path), err)
	}
	defer parent.Close()
	name := filepath.Base(path)
	r := remover{ctx: ctx}
	r.top, err = openBelow(parent, name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return r.remove(parent, name, 0) // no directory: goes at once
	case errors.Is(err, unix.EXDEV):
		return mounted(path)
	case err != nil:
		return hostError("open", path, err)
	}
	defer r.top.Close()
	if err := r.removeContents(r.top, 0, last); err != nil {
		return err
	}
	return r.remove(parent, name, 0)
}

// A remover deletes trees that somebody who is not trusted has made: a VPS's
// own files.
type remover struct {
	ctx context.Context
	top *os.File // where what lies too deep is moved to; on the same file system
}

// maxDepth is how many directories are open at once. A VPS can nest its own
// deeper than a process may open files (each mkdir is relative to the last).
const maxDepth = 64

// remove deletes name in dir and what is below it. Absent is success, so that
// two may remove the same.
func (r remover) remove(dir *os.File, name string, depth int) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	path := filepath.Join(dir.Name(), name)
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EBUSY):
		return mounted(path)
	case !errors.Is(err, unix.EISDIR):
		return hostError("remove", path, err)
	}
	if err := unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR); err == nil || errors.Is(err, unix.ENOENT) {
		return nil // it was empty: most are
	}
	if depth >= maxDepth {
		return r.raise(dir, name)
	}
	sub, err := openBelow(dir, name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.EXDEV) {
		return mounted(path)
	}
	if err != nil {
		return hostError("open", path, err)
	}
	err = r.removeContents(sub, depth+1, "")
	sub.Close()
	if err != nil {
		return err
	}
	err = unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return hostError("remove", path, err)
	}
	return nil
}

// removeContents deletes what is in dir, but for what is called keep.
func (r remover) removeContents(dir *os.File, depth int, keep string) error {
	for {
		// From the start each time: what a directory stream shows is undefined
		// once entries behind it are gone (readdir(3)).
		if _, err := dir.Seek(0, 0); err != nil {
			return hostError("read", dir.Name(), err)
		}
		names, err := dir.Readdirnames(1024)
		removed := 0
		for _, name := range names {
			if name == keep {
				continue
			}
			if err := r.remove(dir, name, depth); err != nil {
				return err
			}
			removed++
		}
		if removed == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return hostError("read", dir.Name(), err)
			}
			return nil
		}
	}
}

// raise moves a directory that lies too deep up to the top, whose removal
// comes by it again.
func (r remover) raise(dir *os.File, name string) error {
	to := "deep." + suffix()
	err := unix.Renameat2(int(dir.Fd()), name, int(r.top.Fd()), to, unix.RENAME_NOREPLACE)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return hostError("raise", filepath.Join(dir.Name(), name), err)
	}
	return nil
}

// openBelow opens the directory name in dir, neither through a link nor across
// a mount point (EXDEV).
func openBelow(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(dir.Name(), name)), nil
}

func mounted(path string) error {
	return fail.New(fail.State, "remove %s: something is mounted on it", path).WithHint("umount %s", path)
}
