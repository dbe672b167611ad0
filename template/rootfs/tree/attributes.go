package tree

import (
	"croft/template/layer"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// copyAttributes gives the open file to the owner, the extended attributes, the
// mode and the times of the open file from, whose stat is st. It removes other
// extended attributes. Both may be opened with O_PATH.
func copyAttributes(from, to int, st *unix.Stat_t) error {
	if err := unix.Fchownat(to, "", int(st.Uid), int(st.Gid), unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("set its owner: %w", err)
	}
	// The owner comes first: a new owner removes file capabilities.
	if err := copyXattrs(from, to); err != nil {
		return err
	}
	if kindOf(st.Mode) != unix.S_IFLNK {
		if err := unix.Fchmodat(unix.AT_FDCWD, handle(to), st.Mode&0o7777, 0); err != nil {
			return fmt.Errorf("set its mode: %w", err)
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	if err := unix.UtimesNanoAt(to, "", times, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("set its times: %w", err)
	}
	return nil
}

func copyXattrs(from, to int) error {
	want, err := layer.ReadXattrsOf(handle(from))
	if err != nil {
		return err
	}
	have, err := layer.ReadXattrsOf(handle(to))
	if err != nil {
		return err
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			if err := unix.Removexattr(handle(to), name); err != nil && !errors.Is(err, unix.ENODATA) {
				return fmt.Errorf("remove %s: %w", name, err)
			}
		}
	}
	for name, value := range want {
		if old, ok := have[name]; ok && old == value {
			continue
		}
		if err := unix.Setxattr(handle(to), name, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// xattrOf returns an extended attribute of the entry name of the directory fd. It
// does not follow a link. With name "" it is the one of the directory.
func xattrOf(fd int, name, attribute string) (value string, has bool, err error) {
	path := handle(fd) + "/" + name
	b, err := layer.FillBuffer(func(b []byte) (int, error) { return unix.Lgetxattr(path, attribute, b) })
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read %s of %.200q: %w", attribute, name, err)
	}
	return string(b), true, nil
}
