package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"croft/internal/fail"
)

// replaceFile makes path hold data, atomically and durably: a reader, and a
// machine that loses its power, sees the old content or the new one. On error
// the old one stays, and the temporary file is gone.
//
// Two writers of one path must be kept apart by a lock, since the temporary
// file has always the same name: so one that a killed writer left is used up
// by the next.
func replaceFile(path string, data []byte) error {
	dir, base := filepath.Split(path)
	tmp := filepath.Join(dir, "."+base+".new")
	if err := writeSynced(tmp, data); err != nil {
		_ = os.Remove(tmp)
		return hostError("write", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return hostError("replace", path, err)
	}
	return syncDir(dir)
}

// appendFile adds data to the end of path, durably. On an error it takes back
// what it has written, if it can. It does not make the file.
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

func writeSynced(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	// A close can be the first to say that the disk is full (close(2)).
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return hostError("open", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
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
