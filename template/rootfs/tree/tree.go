// Package tree copies, merges and compares trees of files that a VPS has written:
// layers of an overlay. A process of the VPS may change a tree at the same time.
// Everything is opened relative to the root of the tree. No symbolic link is
// followed, no mount point is crossed, and no FIFO or device is opened.
package tree

import (
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// maxDepth is how deep directories of a tree may be nested. Each directory is
// opened from the root, so that few descriptors are open. This takes time in
// proportion to the square of the depth.
const maxDepth = 10000

// maxPath is how many bytes of a path are passed to the kernel at once, less than
// PATH_MAX.
const maxPath = 4000

// A place is a directory in a tree.
type place struct {
	above *place // nil: the root of the tree
	name  string
	depth int
}

// below returns the place of the directory name in p.
func (p *place) below(name string) (*place, error) {
	if p.depth >= maxDepth {
		return nil, fail.New(fail.State, "directories are nested deeper than %d: %.200q", maxDepth, p.path())
	}
	return &place{above: p, name: name, depth: p.depth + 1}, nil
}

// names returns the names on the way from the root to p.
func (p *place) names() []string {
	all := make([]string, p.depth)
	for ; p.above != nil; p = p.above {
		all[p.depth-1] = p.name
	}
	return all
}

// path returns the path of p below the root, "" for the root.
func (p *place) path() string { return joined(p.names()) }

func joined(names []string) string {
	var b []byte
	for i, name := range names {
		if i > 0 {
			b = append(b, '/')
		}
		b = append(b, name...)
	}
	return string(b)
}

// join returns the path of the entry name of the directory path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

// open opens p for reading in the tree whose root is the descriptor root. The
// caller closes it.
func (p *place) open(root int) (int, error) {
	at := root
	names := p.names()
	for {
		n, length := 0, 0
		for n < len(names) && length+1+len(names[n]) < maxPath {
			length += 1 + len(names[n])
			n++
		}
		flags := unix.O_PATH
		if n == len(names) {
			flags = unix.O_RDONLY | unix.O_NOATIME
		}
		path := "."
		if n > 0 {
			path = joined(names[:n])
		}
		next, err := openBelow(at, path, flags|unix.O_DIRECTORY)
		if at != root {
			unix.Close(at)
		}
		if err != nil || n == len(names) {
			return next, err
		}
		at, names = next, names[n:]
	}
}

// openBelow opens path below the directory at. A symbolic link is ELOOP, unless
// it is the last name and flags contains O_PATH. A mount point is EXDEV.
func openBelow(at int, path string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_NOFOLLOW | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	for {
		fd, err := unix.Openat2(at, path, &how)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if errors.Is(err, unix.EPERM) && how.Flags&unix.O_NOATIME != 0 { // another user's file, not root
			how.Flags &^= unix.O_NOATIME
			continue
		}
		return fd, err
	}
}

// handle returns a path that leads to the open file fd itself, also if it is a
// symbolic link or was opened with O_PATH.
func handle(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// vanished reports whether err means that a process has removed or replaced the
// file that was to be opened.
func vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// sortedNames returns the names in the directory fd, sorted.
func sortedNames(fd int) ([]string, error) {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(again), ".")
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func kindOf(mode uint32) uint32 { return mode & unix.S_IFMT }

func nanoseconds(t unix.Timespec) int64 { return t.Nano() }
