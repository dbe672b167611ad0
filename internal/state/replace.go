package state

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"croft/internal/atomicfile"
	"croft/internal/fail"
)

// replaceFile is atomicfile.Replace for croft's own files.
func replaceFile(path string, data []byte) error {
	if err := atomicfile.Replace(path, 0o600, data); err != nil {
		return hostError("write", path, err)
	}
	return nil
}

// appendFile appends data to the existing file at path, durably. On an error it
// removes what it has written, if it can.
func appendFile(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return hostError("open", path, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = hostError("write", path, cerr)
		}
	}()
	was, err := f.Stat()
	if err != nil {
		return hostError("look at", path, err)
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Truncate(was.Size())
		return hostError("write", path, err)
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	if err := atomicfile.SyncDir(dir); err != nil {
		return hostError("sync", dir, err)
	}
	return nil
}

// hostError says what could not be done to path, in one line that names it
// once, and classifies the reasons that are the host's and not ours.
func hostError(act, path string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%s %s: %w", act, path, err)
	}
	switch errno {
	case syscall.EACCES, syscall.EPERM:
		return fail.New(fail.Permission, "%s %s: %w", act, path, errno)
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.ENOTDIR,
		syscall.EFBIG, syscall.EMFILE, syscall.ENFILE, syscall.ENOLCK, syscall.ELOOP:
		return fail.New(fail.Host, "%s %s: %w", act, path, errno)
	}
	return fmt.Errorf("%s %s: %w", act, path, errno)
}
