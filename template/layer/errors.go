package layer

import (
	"errors"
	"fmt"
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
		return fail.New(fail.Host, "the disk is full: %w", err).WithHint("df -h; croft template list")
	case errors.Is(err, os.ErrPermission):
		return fail.New(fail.Permission, "templates need root: %w", err)
	case errors.Is(err, unix.EROFS):
		return fail.New(fail.Host, "cannot store templates on a read-only filesystem: %w", err)
	}
	return err
}

// An archiveError is a fault of the archive, not of the host.
type archiveError struct{ err error }

func (e *archiveError) Error() string { return e.err.Error() }
func (e *archiveError) Unwrap() error { return e.err }

func badArchive(format string, args ...any) error {
	return &archiveError{fmt.Errorf(format, args...)}
}

// brokenArchive makes an error of reading an archive an archiveError, unless it
// is already classified.
func brokenArchive(err error) error {
	var said *fail.Error
	if errors.As(err, &said) {
		return err
	}
	return &archiveError{err}
}

// Broken makes an error of reading an archive one of the archive, unless it is already
// classified.
func Broken(err error) error { return brokenArchive(err) }

// ArchiveFailure classifies an error of Unpack or Decompress: fail.Usage for an
// invalid archive, else as HostError does. It returns nil for nil.
func ArchiveFailure(err error) error {
	var bad *archiveError
	if errors.As(err, &bad) {
		return fail.New(fail.Usage, "the archive is damaged or not a root filesystem: %w", bad.err)
	}
	return HostError(err)
}

// atEntry adds the name of the entry to err. An error that comes from the name,
// the link target or the place of an entry is a fault of the archive.
func atEntry(name string, err error) error {
	if err == nil {
		return nil
	}
	for _, e := range []unix.Errno{unix.ENAMETOOLONG, unix.ELOOP, unix.ENOTDIR, unix.EISDIR, unix.EINVAL, unix.ENOENT, unix.EEXIST, unix.EXDEV, unix.ERANGE, unix.EILSEQ} {
		if errors.Is(err, e) {
			return badArchive("%q: %w", name, err)
		}
	}
	var bad *archiveError
	if errors.As(err, &bad) {
		return badArchive("%q: %w", name, bad.err)
	}
	var said *fail.Error
	if errors.As(err, &said) {
		return err
	}
	return fmt.Errorf("unpack %q: %w", name, err)
}
