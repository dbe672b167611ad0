// Package inside reaches into a guest: a process of it, and the files below its
// root directory. It is for root of the host, whom the guest's root wants to
// mislead by names that it controls: links, mounts, and renames at any instant.
//
// The rules: a process is held by a pidfd and its start time. A root directory
// is opened once. A name is resolved from that descriptor by openat2(2), so
// that links, "..", and magic links of /proc never lead out of it. What is
// changed is changed by descriptor, on the guest's own root filesystem and on
// no other mount, with the guest's own ids: even a name that leads astray then
// leads to nothing that the guest's root could not change itself.
package inside

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// A Root is a guest's root directory, opened once.
type Root struct{ dir *os.File }

// OpenRoot opens the directory at the host's path dir, whose last element must
// not be a link. The path itself must not be the guest's. The caller closes it.
func OpenRoot(dir string) (*Root, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open root directory %s: %w", dir, err)
	}
	return &Root{os.NewFile(uintptr(fd), dir)}, nil
}

// RootOf returns the root directory that dir is a descriptor of. Close closes dir.
func RootOf(dir *os.File) *Root { return &Root{dir} }

// Close closes the handle.
func (r *Root) Close() error { return r.dir.Close() }

// Open opens name inside with flags. Links are resolved as the guest would
// resolve them. It is meant for O_PATH: opening a FIFO can block, and opening a
// device can have effects. The caller closes the file.
func (r *Root) Open(name string, flags int) (*os.File, error) {
	return openAt(r.dir, name, flags, unix.RESOLVE_IN_ROOT)
}

// openAt opens name below dir. resolve says how far a name may lead, beyond
// that it never leads through a magic link.
func openAt(dir *os.File, name string, flags int, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC,
		Resolve: resolve | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flags&unix.O_PATH == 0 {
		how.Flags |= unix.O_NOCTTY
	}
	const most = 128 // a guest that renames without end is not waited for
	var err error
	for range most {
		var fd int
		fd, err = unix.Openat2(int(dir.Fd()), path.Join(".", name), &how)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		// EAGAIN: something was renamed or mounted while ".." was looked up.
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: err}
}

// Exists reports whether name is there, as whatever.
func (r *Root) Exists(name string) bool {
	f, err := r.Open(name, unix.O_PATH)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// IsDir reports whether name leads to a directory.
func (r *Root) IsDir(name string) bool {
	f, err := r.Open(name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Executable is nil if name leads to a regular file that some user may execute.
// Else errors.Is tells why not: fs.ErrNotExist, unix.EISDIR or fs.ErrPermission.
func (r *Root) Executable(name string) error {
	f, err := r.Open(name, unix.O_PATH)
	if leadsNowhere(err) {
		return fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("look at %s inside: %w", name, err)
	case info.IsDir():
		return unix.EISDIR
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return unix.EACCES
	}
	return nil
}

// Program reports whether name leads to a regular file that some user may
// execute, and returns the name that this file has after all links.
func (r *Root) Program(name string) (file string, ok bool) {
	f, err := r.Open(name, unix.O_PATH)
	if err != nil {
		return "", false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", false
	}
	file, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())) // "" if it cannot be known
	return file, true
}

// Read returns the content of the regular file name. It is nil, without an
// error, for a missing file, for anything but a regular file, and for a file
// larger than most bytes: a guest may have put an endless one there. On a
// filesystem that the guest itself serves (FUSE) it can block without an end.
func (r *Root) Read(name string, most int64) ([]byte, error) {
	f, err := r.regular(name)
	if err != nil || f == nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s inside: %w", name, err)
	}
	if int64(len(text)) > most {
		return nil, nil
	}
	return text, nil
}

// regular opens the regular file name for reading, nil if it is not one. What
// it is is known before it is opened.
func (r *Root) regular(name string) (*os.File, error) {
	handle, err := r.Open(name, unix.O_PATH)
	if leadsNowhere(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read inside: %w", err)
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	f, err := pathrs.Reopen(handle, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("read %s inside: %w", name, err)
	}
	return f, nil
}

// leadsNowhere reports whether err says that a name leads to no file.
func leadsNowhere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// FS is the files below r. It reads regular files and directories only.
func (r *Root) FS() fs.FS { return rootFS{r} }

type rootFS struct{ *Root }

var _ fs.ReadLinkFS = rootFS{}

func (r rootFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	handle, err := r.Root.Open(name, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return pathrs.Reopen(handle, unix.O_RDONLY|unix.O_CLOEXEC)
}

// last opens the last element of name itself: a link is not followed there.
func (r rootFS) last(op, name string) (*os.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return r.Root.Open(name, unix.O_PATH|unix.O_NOFOLLOW)
}

// ReadLink returns where the link at name points.
func (r rootFS) ReadLink(name string) (string, error) {
	link, err := r.last("readlink", name)
	if err != nil {
		return "", err
	}
	defer link.Close()
	to := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(link.Fd()), "", to)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(to[:n]), nil
}

// Lstat describes the file name itself, and not the target of a link.
func (r rootFS) Lstat(name string) (fs.FileInfo, error) {
	f, err := r.last("lstat", name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}
