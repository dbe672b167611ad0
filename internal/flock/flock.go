// Package flock has croft's locks on files: their kinds and order, and how they
// are taken. A lock ends with the process that holds it, however that ends. Lock
// files are never removed: a waiter could hold the removed file, and the next
// command a new one, and both would have "the" lock.
//
// It is not gofrs/flock: that has no locks of open file descriptions, which the
// monitor of a VPS inherits, and no locks of directories.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A File is an open lock file. Closing it drops the lock, unless another process
// has inherited the descriptor.
type File struct {
	*os.File
	kind Kind
}

// Open opens the lock file at path, and creates it if it is missing. It takes no
// lock. Errors are *fs.PathError.
func Open(path string, kind Kind) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{f, kind}, nil
}

// OpenDir opens the directory at path for a lock of its own.
func OpenDir(path string, kind Kind) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &File{f, kind}, nil
}

// Take opens the lock file at path and waits for its lock until ctx is done. The
// returned function drops the lock.
func Take(ctx context.Context, path string, kind Kind) (unlock func(), err error) {
	f, err := Open(path, kind)
	if err != nil {
		return nil, err
	}
	if err := f.Wait(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// Wait takes the lock, and waits for it until ctx is done. Then the error wraps
// that of ctx.
func (f *File) Wait(ctx context.Context) error {
	taking(f, true)
	return f.until(ctx, f.try)
}

// Try takes the lock if it is free, and reports whether it was.
func (f *File) Try() (bool, error) {
	got, err := f.try()
	if got {
		taking(f, false)
	}
	return got, err
}

// WaitShared is Wait for a lock that others may hold at the same time, all of them
// shared.
func (f *File) WaitShared(ctx context.Context) error {
	taking(f, true)
	return f.until(ctx, func() (bool, error) {
		return f.got(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB))
	})
}

// TryLife takes the lock of the open file description (fcntl(2), F_OFD_SETLK;
// Linux 3.15) if it is free, and reports whether it was. A process that inherits
// the descriptor inherits the lock. LifeHeld asks about it without taking it: a
// probe by flock(2) would make a start at the same moment believe that the VPS
// runs.
func (f *File) TryLife() (bool, error) {
	lock := wholeFile(unix.F_WRLCK)
	return f.got(unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock))
}

// WaitLife is TryLife that waits until ctx is done.
func (f *File) WaitLife(ctx context.Context) error { return f.until(ctx, f.TryLife) }

// LifeHeld reports whether another open file description holds the lock of
// TryLife. It takes no lock.
func (f *File) LifeHeld() (bool, error) {
	lock := wholeFile(unix.F_WRLCK)
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return false, f.failure("ask about the lock of", err)
	}
	return lock.Type != unix.F_UNLCK, nil
}

// Drop drops the lock, also for children that have inherited the descriptor by
// accident, and closes the file.
func (f *File) Drop() {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	_ = f.Close()
}

// DropLife drops the lock of TryLife, also for processes that have inherited the
// descriptor by accident, and closes the file.
func DropLife(f *os.File) {
	lock := wholeFile(unix.F_UNLCK)
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	_ = f.Close()
}

// Close closes the file.
func (f *File) Close() error {
	dropping(f)
	return f.File.Close()
}

// At reports whether path still leads to this file: its former holder may have
// moved or removed it.
func (f *File) At(path string) bool {
	held, err1 := f.Stat()
	there, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

func (f *File) try() (bool, error) {
	return f.got(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

func (f *File) got(err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINTR):
		return false, nil
	}
	return false, f.failure("lock", err)
}

func (f *File) failure(act string, err error) error {
	return &os.PathError{Op: act, Path: f.Name(), Err: err}
}

// wholeFile is a lock of type t from the first byte to the last, of any length.
func wholeFile(t int16) unix.Flock_t { return unix.Flock_t{Type: t} }

// until calls try until it succeeds or fails, or ctx is done. It polls, because a
// blocked flock(2) cannot be cancelled: its thread would still wait, and take the
// lock when no caller wants it any more.
func (f *File) until(ctx context.Context, try func() (bool, error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if ok, err := try(); ok || err != nil {
			if err != nil {
				dropping(f)
			}
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			dropping(f)
			return fmt.Errorf("wait for the lock %s: %w", f.Name(), ctx.Err())
		case <-timer.C:
		}
	}
}

// OpenAny opens the file or the directory at path, which exists, for its lock.
func OpenAny(path string, kind Kind) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &File{f, kind}, nil
}
