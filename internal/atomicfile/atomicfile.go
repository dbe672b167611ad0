// Package atomicfile replaces files atomically and durably: a reader, and a
// machine that loses its power, sees the former content or the new one.
//
// It is not google/renameio or moby's atomicwriter: the name of the temporary
// file is always the same here, so what a killed writer leaves is used up by the
// next writer, and the directory is synced as well.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Replace makes the file at path hold data, with that mode whatever the umask is.
// On an error the former file stays, and no temporary file does, unless the error
// is that the directory cannot be synced. Errors are *fs.PathError or
// *os.LinkError.
//
// The caller keeps other writers of path away by a lock. The temporary file is
// .NAME.new in the same directory.
func Replace(path string, mode fs.FileMode, data []byte) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	return finish(f, path, mode, data)
}

// ReplaceShared is Replace for a file that several processes may write at the
// same time, without a lock: the last one wins. The temporary file of a killed
// writer stays: .NAME-RANDOM, in the same directory.
func ReplaceShared(path string, mode fs.FileMode, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	return finish(f, path, mode, data)
}

func finish(f *os.File, path string, mode fs.FileMode, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	// A close can be the first to report that the disk is full (close(2)).
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in the directory dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
