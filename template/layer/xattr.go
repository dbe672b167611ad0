package layer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Extended attributes that croft interprets: those of overlayfs, file
// capabilities and ACLs.
const (
	XattrOpaque     = "trusted.overlay.opaque"
	XattrRedirect   = "trusted.overlay.redirect"
	xattrMetacopy   = "trusted.overlay.metacopy"
	xattrCapability = "security.capability"
	xattrACL        = "system.posix_acl_access"
	xattrDefaultACL = "system.posix_acl_default"
)

// ReadXattrs returns all extended attributes of the open file fd. An attribute
// that is removed meanwhile is left out. On a filesystem without extended
// attributes the result is empty.
func ReadXattrs(fd int) (map[string]string, error) {
	return readXattrs(
		func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
		func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
}

// ReadXattrsOf is ReadXattrs of the file that path names. With /proc/self/fd/N it can be one
// that is opened with O_PATH.
func ReadXattrsOf(path string) (map[string]string, error) {
	return readXattrs(
		func(b []byte) (int, error) { return unix.Listxattr(path, b) },
		func(name string, b []byte) (int, error) { return unix.Getxattr(path, name, b) })
}

func readXattrs(list func(b []byte) (int, error), get func(name string, b []byte) (int, error)) (map[string]string, error) {
	names, err := FillBuffer(list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list its extended attributes: %w", err)
	}
	all := map[string]string{}
	for name := range bytes.SplitSeq(names, []byte{0}) {
		if len(name) == 0 {
			continue
		}
		v, err := FillBuffer(func(b []byte) (int, error) { return get(string(name), b) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		all[string(name)] = string(v)
	}
	return all, nil
}

// FillBuffer calls fill with larger buffers until the result fits, at most 1 MiB.
func FillBuffer(fill func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		b := make([]byte, size)
		n, err := fill(b)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			continue
		}
		return b[:max(n, 0)], err
	}
}

// KeptXattr reports whether an archive may set the extended attribute name: user
// attributes, file capabilities and ACLs. It may not set those of overlayfs
// (trusted.overlay.*), which can refer to other files, and not the host's
// policies (security.selinux and others).
func KeptXattr(name string) bool {
	switch {
	case strings.HasPrefix(name, "user."):
		return true
	case name == "security.capability", name == "system.posix_acl_access", name == "system.posix_acl_default":
		return true
	}
	return false
}
