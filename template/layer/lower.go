package layer

import (
	"errors"
	"fmt"
	"maps"

	"golang.org/x/sys/unix"
)

// A lowerDir holds the attributes of a directory in a lower layer.
type lowerDir struct {
	st     unix.Stat_t
	xattrs map[string]string
}

// LookBelow looks for name in the lower layers, the topmost first. It returns the
// first directory, or the target of the first link. Both are zero if the first
// match is of another type or if there is none.
func (t *Tree) LookBelow(name string) (*lowerDir, string) {
	for _, b := range t.Below {
		fd, err := b.openat2(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		target := make([]byte, unix.PathMax)
		n, _ := unix.Readlinkat(fd, "", target)
		unix.Close(fd)
		switch {
		case err != nil:
			return nil, ""
		case st.Mode&unix.S_IFMT == unix.S_IFLNK:
			return nil, string(target[:max(n, 0)])
		case st.Mode&unix.S_IFMT != unix.S_IFDIR:
			return nil, ""
		}
		return &lowerDir{st, b.keptXattrs(name)}, ""
	}
	return nil, ""
}

// IsBelow reports whether name exists in the merged lower layers. It does not
// follow a link at the end of name.
func (t *Tree) IsBelow(name string) bool {
	for _, b := range t.Below {
		fd, err := b.openat2(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
		return err != nil || !IsWhiteout(&st)
	}
	return false
}

// keptXattrs returns the attributes of the directory name that an archive may
// set, or nil if they cannot be read.
func (t *Tree) keptXattrs(name string) map[string]string {
	fd, err := t.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	all, err := ReadXattrs(fd)
	if err != nil {
		return nil
	}
	maps.DeleteFunc(all, func(k, _ string) bool { return !KeptXattr(k) })
	return all
}

// copyAttributesTo gives the new directory fd the owner, mode and extended
// attributes of d.
func (d *lowerDir) copyAttributesTo(fd int) error {
	if err := unix.Fchown(fd, int(d.st.Uid), int(d.st.Gid)); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	has := func(name string) bool { return d.xattrs[name] != "" }
	if err := dropACLs(has, func(name string) error { return unix.Fremovexattr(fd, name) }); err != nil {
		return err
	}
	for k, v := range d.xattrs {
		if err := unix.Fsetxattr(fd, k, []byte(v), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("set %s: %w", k, err)
		}
	}
	if err := unix.Fchmod(fd, d.st.Mode&0o7777); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}
