package layer

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/removetree"
)

// A Tree is an open directory. Paths in it are resolved as if the directory were
// "/": neither ".." nor a symbolic link leads out of it (openat2(2), Linux 5.6).
type Tree struct {
	root int // the directory, opened with O_PATH
	// The last result of parent: entries of one directory follow each other in an
	// archive. It is dropped when something is removed.
	cachedPath string
	cached     int // -1: no cached parent

	owner uint32  // of directories that MakeAll creates where no lower layer has one
	Below []*Tree // the lower layers, the topmost first
}

// OpenTree opens the directory dir. The caller closes the Tree.
func OpenTree(dir string) (*Tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return &Tree{root: fd, cached: -1}, nil
}

// OpenLayers opens the directory dir of a layer, and the directories of the
// layers below it, the topmost first. On an error nothing stays open. Closing
// the Tree closes them all.
func OpenLayers(dir string, below []string) (*Tree, error) {
	t, err := OpenTree(dir)
	for _, b := range below {
		if err != nil {
			break
		}
		var lower *Tree
		if lower, err = OpenTree(b); err == nil {
			t.Below = append(t.Below, lower)
		}
	}
	if err != nil && t != nil {
		t.Close()
	}
	return t, err
}

// Close closes the directory and those of the layers below. Descriptors that
// other methods returned stay open.
func (t *Tree) Close() {
	t.forget()
	for _, b := range t.Below {
		b.Close()
	}
	unix.Close(t.root)
}

func (t *Tree) forget() {
	if t.cached >= 0 {
		unix.Close(t.cached)
	}
	t.cached, t.cachedPath = -1, ""
}

// open opens the directory name with O_PATH. It follows links inside the tree.
func (t *Tree) open(name string) (int, error) {
	return t.openat2(name, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// OpenPlain opens the directory name for reading. A symbolic link in its path is
// ELOOP. The caller closes the descriptor.
func (t *Tree) OpenPlain(name string) (int, error) {
	return t.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
}

func (t *Tree) openat2(name string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve}
	for {
		fd, err := unix.Openat2(t.root, name, &how)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue // EAGAIN: a rename on the host raced with a ".."
		}
		return fd, err
	}
}

// parent opens the directory name. It creates the directory and its parents if
// they are missing. The Tree owns the descriptor, which is valid until the next
// call.
func (t *Tree) parent(name string) (int, error) {
	if name == t.cachedPath && t.cached >= 0 {
		return t.cached, nil
	}
	fd, err := t.open(name)
	if errors.Is(err, unix.ENOENT) {
		fd, err = t.MakeAll(name)
	}
	if err != nil {
		return -1, fmt.Errorf("open its directory: %w", err)
	}
	t.forget()
	t.cached, t.cachedPath = fd, name
	return fd, nil
}

// MakeAll creates the directory name and its missing parents, and returns it
// opened with O_PATH. If a lower layer has a directory of the same name, the new
// one gets its owner, mode and extended attributes. If a lower layer has a link
// there, MakeAll follows it. A directory that exists already is left unchanged.
func (t *Tree) MakeAll(name string) (int, error) { return t.makeAllFrom(name, 0) }

// maxLinks is how many links a path may contain (path_resolution(7)).
const maxLinks = 40

func (t *Tree) makeAllFrom(name string, links int) (int, error) {
	at, err := t.open(".")
	if err != nil {
		return -1, err
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		sub := strings.Join(parts[:i+1], "/")
		next, err := t.open(sub)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) && isWhiteoutAt(at, part) {
			lower, target := t.LookBelow(sub)
			if target != "" && err != unix.ENOTDIR {
				unix.Close(at)
				if links++; links > maxLinks {
					return -1, unix.ELOOP
				}
				if !path.IsAbs(target) {
					target = path.Join("/", path.Dir(sub), target)
				}
				return t.makeAllFrom(strings.TrimPrefix(path.Join("/", target, strings.Join(parts[i+1:], "/")), "/"), links)
			}
			if err = t.makeDir(at, part, lower); err == nil {
				next, err = t.open(sub)
			}
		}
		unix.Close(at)
		if err != nil {
			return -1, err // EEXIST: there is a broken link
		}
		at = next
	}
	return at, nil
}

// makeDir creates a directory that the archive has no entry for. It gets the
// attributes of the lower directory like, if there is one. If there is a whiteout
// of that name, the new directory becomes opaque instead.
func (t *Tree) makeDir(at int, name string, like *lowerDir) error {
	opaque := isWhiteoutAt(at, name)
	if opaque {
		if err := unix.Unlinkat(at, name, 0); err != nil {
			return err
		}
	}
	if err := unix.Mkdirat(at, name, 0o755); err != nil {
		return err
	}
	if t.owner != 0 {
		return unix.Fchownat(at, name, int(t.owner), int(t.owner), unix.AT_SYMLINK_NOFOLLOW)
	}
	if like == nil && !opaque {
		return nil
	}
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if opaque {
		return SetOpaque(fd)
	}
	return like.copyAttributesTo(fd)
}

// removeEntry removes base in the directory parent: a file, or a directory with
// its content. No-op if it is missing.
func (t *Tree) removeEntry(parent int, base string) error {
	err := unix.Unlinkat(parent, base, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) {
		return fmt.Errorf("replace: %w", err)
	}
	if err := removetree.At(context.Background(), parent, base); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	// The cached directory may be one of those that were removed.
	if parent != t.cached {
		t.forget()
	}
	return nil
}
