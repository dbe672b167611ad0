package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownAndTime gives base in the directory parent the owner and time of h. It does
// not follow a link.
func (u *unpacker) ownAndTime(parent int, base string, h *tar.Header) error {
	if err := unix.Fchownat(parent, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	return setTime(parent, base, h)
}

// setTime gives base in the directory parent the time of h. It does not follow a
// link.
func setTime(parent int, base string, h *tar.Header) error {
	ts, err := times(h.ModTime)
	if err == nil {
		err = unix.UtimesNanoAt(parent, base, ts, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return fmt.Errorf("set its time: %w", err)
	}
	return nil
}

// futimens sets the time of an open file: utimensat(2) with a null path, which
// unix.UtimesNanoAt cannot pass.
func futimens(fd int, at time.Time) error {
	ts, err := times(at)
	if err != nil {
		return err
	}
	if _, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts[0])), 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

func times(m time.Time) ([]unix.Timespec, error) {
	if m.IsZero() {
		m = time.Unix(0, 0)
	}
	ts, err := unix.TimeToTimespec(m)
	return []unix.Timespec{ts, ts}, err
}

// aclNames are the attributes that a new file gets from its directory, if that has a
// default ACL (acl(5)).
var aclNames = []string{"system.posix_acl_access", "system.posix_acl_default"}

// dropACLs removes the ACLs that a new file has got from its directory, except those that
// has names. remove is fremovexattr(2) or lremovexattr(2) on the file.
func dropACLs(has func(name string) bool, remove func(name string) error) error {
	for _, name := range aclNames {
		if has(name) {
			continue
		}
		err := remove(name)
		if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}

// setXattrs gives the open file the extended attributes of h. A file of a layer gets no
// other ACLs.
func (u *unpacker) setXattrs(fd int, h *tar.Header) error {
	has := func(name string) bool { return h.PAXRecords["SCHILY.xattr."+name] != "" }
	if u.files == nil {
		if err := dropACLs(has, func(name string) error { return unix.Fremovexattr(fd, name) }); err != nil {
			return err
		}
	}
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, "SCHILY.xattr.")
		if !ok || !KeptXattr(name) {
			continue
		}
		err := unix.Fsetxattr(fd, name, []byte(v), 0)
		if errors.Is(err, unix.ENOTSUP) && name != "security.capability" {
			continue // the filesystem does not support them; a VPS works without them
		}
		if err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
