// Package removetree removes directory trees whose content is not trusted: the
// files of a VPS, and unpacked images. It never follows a symbolic link and never
// crosses a mount point, also if another process renames directories meanwhile.
package removetree

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// Remove removes path: a file, or a directory with its content. If last is not
// "", the entry of that name directly below path is removed after all others.
// No-op if path is missing. A mount point below path is fail.State, the end of
// ctx its error; other errors are fs.PathErrors. After an error a part of the
// tree may remain, and Remove can be called again.
func Remove(ctx context.Context, path, last string) error {
	parent, err := os.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	return remove(ctx, parent, filepath.Base(path), last)
}

// At is Remove of the entry name in the open directory parent. The caller closes
// parent, which may be opened with O_PATH.
func At(ctx context.Context, parent int, name string) error {
	fd, err := unix.FcntlInt(uintptr(parent), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return failed("open", name, err)
	}
	dir := os.NewFile(uintptr(fd), "")
	defer dir.Close()
	return remove(ctx, dir, name, "")
}

func remove(ctx context.Context, parent *os.File, name, last string) error {
	path := filepath.Join(parent.Name(), name)
	r := remover{ctx: ctx}
	var err error
	r.top, err = openBelow(parent, name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return r.remove(parent, name, 0) // a file or a link
	case errors.Is(err, unix.EXDEV):
		return mounted(path)
	case err != nil:
		return failed("open", path, err)
	}
	defer r.top.Close()
	if err := r.removeContents(r.top, 0, last); err != nil {
		return err
	}
	return r.remove(parent, name, 0)
}

// A remover removes one tree.
type remover struct {
	ctx context.Context
	top *os.File // the root of the tree; directories that are too deep are moved here
}

// maxDepth is how many directories are open at once. A VPS can nest directories
// deeper than the number of files that a process may open, because each mkdir(2)
// can be relative to the last directory.
const maxDepth = 64

// remove removes name in dir and everything below it. No-op if it is missing:
// another process may remove the same tree.
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
		return failed("remove", path, err)
	}
	if err := unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR); err == nil || errors.Is(err, unix.ENOENT) {
		return nil // most directories are empty
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
		return failed("open", path, err)
	}
	err = r.removeContents(sub, depth+1, "")
	sub.Close()
	if err != nil {
		return err
	}
	err = unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return failed("remove", path, err)
	}
	return nil
}

// removeContents removes all entries of dir except keep.
func (r remover) removeContents(dir *os.File, depth int, keep string) error {
	for {
		// It reads from the start each time: the position of a directory stream is
		// undefined after entries are removed (readdir(3)).
		if _, err := dir.Seek(0, 0); err != nil {
			return err
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
				return err
			}
			return nil
		}
	}
}

// raise moves a directory that is too deep to the top. The loop in removeContents
// finds it there.
func (r remover) raise(dir *os.File, name string) error {
	err := unix.Renameat2(int(dir.Fd()), name, int(r.top.Fd()), "deep."+rand.Text(), unix.RENAME_NOREPLACE)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return failed("move", filepath.Join(dir.Name(), name), err)
	}
	return nil
}

// openBelow opens the directory name in dir. A symbolic link is ELOOP or ENOTDIR,
// a mount point EXDEV.
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

func failed(act, path string, err error) error { return &fs.PathError{Op: act, Path: path, Err: err} }
