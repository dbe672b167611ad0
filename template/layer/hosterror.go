package layer

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// HostError classifies an error of the host's files: a full disk, a read-only
// filesystem or a missing permission. It returns nil, an error that is already
// classified, and any other error unchanged.
func HostError(err error) error {
	var said *fail.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fail.New(fail.Host, "no room left on the disk: %w", err).WithHint("df -h; croft template list")
	case errors.Is(err, os.ErrPermission):
		return fail.New(fail.Permission, "templates need root: %w", err)
	case errors.Is(err, unix.EROFS):
		return fail.New(fail.Host, "templates cannot be kept on a read-only filesystem: %w", err)
	}
	return err
}
