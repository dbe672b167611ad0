// Package diskuse measures how much of a disk the files of a VPS occupy.
package diskuse

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// A file with several links occupies its blocks once.
type inode struct{ device, number uint64 }

// Of returns the bytes that the files, or directories and everything below them, occupy on
// disk: blocks, and not lengths, so holes of sparse files do not count. It follows no
// link, and stays on the filesystem of each. What another process removes meanwhile does
// not count. A missing directory is 0. It reads every directory once, so it takes as long
// as du(1). When ctx is done it returns the error of ctx.
func Of(ctx context.Context, dirs ...string) (int64, error) {
	var all int64
	for _, dir := range dirs {
		n, err := of(ctx, dir)
		if err != nil {
			return 0, err
		}
		all += n
	}
	return all, nil
}

func of(ctx context.Context, dir string) (int64, error) {
	if file, err := os.Lstat(dir); err == nil && file.Mode().IsRegular() {
		return file.Sys().(*syscall.Stat_t).Blocks * blockSize, nil
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer root.Close()
	top, err := root.Lstat(".")
	if err != nil {
		return 0, err
	}
	w := walk{device: top.Sys().(*syscall.Stat_t).Dev, counted: map[inode]bool{}}
	err = fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return w.visit(root, path, entry, err)
	})
	return w.blocks * blockSize, err
}

// blockSize is the unit of st_blocks (stat(2)), whatever the filesystem's.
const blockSize = 512

type walk struct {
	device  uint64
	counted map[inode]bool // files with several links
	blocks  int64
}

func (w *walk) visit(root *os.Root, path string, entry fs.DirEntry, err error) error {
	if err == nil {
		var info fs.FileInfo
		if info, err = root.Lstat(path); err == nil {
			return w.count(info)
		}
	}
	gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENAMETOOLONG)
	switch {
	case !gone:
		return err
	case entry != nil && entry.IsDir():
		return fs.SkipDir
	}
	return nil
}

// count adds one file. A directory of another filesystem is skipped.
func (w *walk) count(info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	if st.Dev != w.device {
		if info.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if !info.IsDir() && st.Nlink > 1 {
		key := inode{st.Dev, st.Ino}
		if w.counted[key] {
			return nil
		}
		w.counted[key] = true
	}
	w.blocks += st.Blocks
	return nil
}
