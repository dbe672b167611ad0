package layer

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// isWhiteoutAt reports whether name is a whiteout of overlayfs.
func isWhiteoutAt(at int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && IsWhiteout(&st)
}

// IsWhiteout reports whether st is that of a whiteout of overlayfs: a character
// device 0/0. It hides the file of that name in the layers below.
func IsWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

// SetOpaque makes overlayfs hide the content of lower directories of the same
// name as the directory fd. It can be called again.
func SetOpaque(fd int) error {
	if err := unix.Fsetxattr(fd, XattrOpaque, []byte("y"), 0); err != nil {
		return fmt.Errorf("set %s: %w", XattrOpaque, err)
	}
	return nil
}

// The names of whiteouts in a layer:
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts
const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// whiteout hides files of the lower layers. In overlayfs that is a character
// device 0/0, or an attribute of the directory.
func (u *unpacker) whiteout(parent int, base string) error {
	if base == whiteoutOpaque {
		fd, err := unix.Openat(parent, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		defer unix.Close(fd)
		return SetOpaque(fd)
	}
	if strings.HasPrefix(base, whiteoutMeta) {
		return nil // a private file of aufs: the specification says to ignore it
	}
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	if hidden == "" || hidden == "." || hidden == ".." {
		return badArchive("it is not a whiteout")
	}
	var st unix.Stat_t
	if unix.Fstatat(parent, hidden, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		// A whiteout hides files of lower layers, not those of its own layer. A
		// file of the same name hides them already.
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil
		}
		fd, err := unix.Openat(parent, hidden, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		defer unix.Close(fd)
		return SetOpaque(fd)
	}
	if err := unix.Mknodat(parent, hidden, unix.S_IFCHR, 0); err != nil {
		return fmt.Errorf("create a whiteout: %w", err)
	}
	return nil
}
