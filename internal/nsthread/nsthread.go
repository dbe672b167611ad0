// Package nsthread runs functions on operating system threads of their own.
// Changes of such a thread (namespaces, root directory, file system ids) affect
// no other code of the process.
package nsthread

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do calls f on a thread that ends with f, and returns when f has returned. It
// is never the first thread of the process: that one cannot end, and /proc/self
// shows it. A program that f starts is forked from this thread, and so has its
// namespaces. A goroutine that f starts runs elsewhere.
func Do(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: Go ends a thread whose goroutine ends locked
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		Do(f) // another goroutine gets another thread while this one is locked
		runtime.UnlockOSThread()
	}()
	<-done
}

// Call is Do for a function that can fail. It returns f's error.
func Call(f func() error) (err error) {
	Do(func() { err = f() })
	return err
}

// PrivateMounts calls f on a thread with a mount namespace of its own. Mounts
// that f makes are seen nowhere else, and mounts of the host do not appear in it.
// They end with f, except those that a process or a descriptor still uses. On an
// error f has not been called.
func PrivateMounts(f func()) error {
	return Call(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		f()
		return nil
	})
}

// In calls f on a thread that has entered the namespace that fd refers to, and
// returns f's error. fd is a namespace's file or a pidfd (setns(2), Linux 5.8);
// kind is one CLONE_NEW flag. In a mount namespace f's root and working
// directory are those of that namespace. fd stays open and is the caller's.
func In(fd int, kind int, f func() error) error {
	return Call(func() error {
		if kind == unix.CLONE_NEWNS {
			// setns(2) refuses a thread that shares its root directory with others.
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("leave the shared root directory: %w", err)
			}
		}
		if err := unix.Setns(fd, kind); err != nil {
			return fmt.Errorf("enter namespace: %w", err)
		}
		return f()
	})
}
