package layer

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Extended attributes that mean something to croft.
const (
	XattrOpaque     = "trusted.overlay.opaque"
	XattrRedirect   = "trusted.overlay.redirect"
	xattrMetacopy   = "trusted.overlay.metacopy"
	xattrCapability = "security.capability"
	xattrACL        = "system.posix_acl_access"
	xattrDefaultACL = "system.posix_acl_default"
)

// readXattrs reads all extended attributes of an open file. One that goes
// meanwhile is left out; a filesystem that has none has none.
func ReadXattrs(fd int) (map[string]string, error) {
	names, err := growing(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) })
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
		v, err := growing(func(b []byte) (int, error) { return unix.Fgetxattr(fd, string(name), b) })
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

// growing calls a function that fills a buffer until what it has fits.
func growing(fill func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		b := make([]byte, size)
		n, err := fill(b)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			continue
		}
		return b[:max(n, 0)], err
	}
}
