package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/removetree"
	"croft/template/layer"
)

// A copier copies the directories of several layers into one, the lowest layer
// first. It keeps owners, modes, times, hard links and the attributes that an
// archive may have. A device 0/0 removes a file of that name that a lower layer
// has, as in an overlay. If there is no such file, it is a whiteout of a container
// engine's own overlay, and is copied. Other device nodes and sockets are left out.
type copier struct {
	root  int                     // the target directory
	links map[layer.FileID]string // the path below root of each file with several hard links
}

// directory copies the content of the directory from into the directory to, and
// then the owner, mode and attributes of from. path is the place of to below the
// copier's root. The caller closes both.
func (c *copier) directory(from, to int, path string) error {
	names, err := namesIn(from)
	if err != nil {
		return err
	}
	if isOpaque(from) {
		if err := clearDir(to); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := c.entry(from, to, name, path+name); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	return copyAttributes(from, to, &st)
}

func (c *copier) entry(from, to int, name, path string) error {
	var st, old unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	there := unix.Fstatat(to, name, &old, unix.AT_SYMLINK_NOFOLLOW) == nil
	kind := st.Mode & unix.S_IFMT
	if there && (kind != unix.S_IFDIR || old.Mode&unix.S_IFMT != unix.S_IFDIR) {
		if err := removetree.At(context.Background(), to, name); err != nil {
			return err
		}
		there = false
		if layer.IsWhiteout(&st) {
			return nil
		}
	}
	switch {
	case kind == unix.S_IFDIR:
		return c.subdirectory(from, to, name, path, there)
	case kind == unix.S_IFREG:
		return c.file(from, to, name, path, &st)
	case kind == unix.S_IFLNK:
		return copyLink(from, to, name, &st)
	case kind == unix.S_IFIFO, layer.IsWhiteout(&st):
		return copyNode(to, name, &st)
	}
	return nil
}

func (c *copier) subdirectory(from, to int, name, path string, there bool) error {
	if !there {
		if err := unix.Mkdirat(to, name, 0o700); err != nil {
			return err
		}
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	source, err := unix.Openat(from, name, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	target, err := unix.Openat(to, name, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return c.directory(source, target, path+"/")
}

func (c *copier) file(from, to int, name, path string, st *unix.Stat_t) error {
	this := layer.FileID{Dev: st.Dev, Ino: st.Ino}
	if first, ok := c.links[this]; ok && st.Nlink > 1 {
		err := unix.Linkat(c.root, first, to, name, 0)
		if !errors.Is(err, unix.ENOENT) { // ENOENT: a higher layer has removed the first name
			return err
		}
	}
	fd, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	source := os.NewFile(uintptr(fd), name)
	defer source.Close()
	if fd, err = unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600); err != nil {
		return err
	}
	target := os.NewFile(uintptr(fd), name)
	defer target.Close()
	if _, err := io.Copy(target, source); err != nil {
		return err
	}
	if st.Nlink > 1 {
		c.links[this] = path
	}
	return copyAttributes(int(source.Fd()), int(target.Fd()), st)
}

func copyLink(from, to int, name string, st *unix.Stat_t) error {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(from, name, target)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(string(target[:n]), to, name); err != nil {
		return err
	}
	return setOwnerAndTime(to, name, st)
}

func copyNode(to int, name string, st *unix.Stat_t) error {
	if err := unix.Mknodat(to, name, st.Mode, 0); err != nil {
		return err
	}
	return setOwnerAndTime(to, name, st)
}

func setOwnerAndTime(parent int, name string, st *unix.Stat_t) error {
	if err := unix.Fchownat(parent, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.UtimesNanoAt(parent, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// copyAttributes gives the open file to the owner, extended attributes, mode and
// times of the open file from, whose stat is st.
func copyAttributes(from, to int, st *unix.Stat_t) error {
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	all, err := layer.ReadXattrs(from)
	if err != nil {
		return err
	}
	for k, v := range all {
		if !layer.KeptXattr(k) {
			continue
		}
		if err := unix.Fsetxattr(to, k, []byte(v), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("set %s: %w", k, err)
		}
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", to), []unix.Timespec{st.Atim, st.Mtim}, 0)
}
