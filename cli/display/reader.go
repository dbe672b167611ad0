package display

import (
	"context"
	"errors"
	"os"
	"syscall"

	"croft/internal/fail"

	"golang.org/x/sys/unix"
)

// WriteError is the error of writing standard output.
func WriteError(err error) error {
	return fail.New(fail.Host, "write standard output: %w", err)
}

// errUnread is the cause of a context that ends because the reader of the
// output is gone.
var errUnread = errors.New("the output is not read any more")

// WhileRead calls do, which writes to out from time to time until its context
// ends. When the reader of out is gone, the context ends at once, and not only
// with the next write. WhileRead then returns the error of such a write.
func WhileRead(ctx context.Context, out *os.File, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := watchReader(int(out.Fd()), func() { cancel(errUnread) })
	defer stop()
	err := do(ctx)
	if errors.Is(context.Cause(ctx), errUnread) {
		return WriteError(&os.PathError{Op: "write", Path: out.Name(), Err: syscall.EPIPE})
	}
	return err
}

// watchReader calls gone when the reader of fd is gone. After stop it does not
// use fd any more.
func watchReader(fd int, gone func()) (stop func()) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return func() {} // the next write tells
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if awaitUnread(fd, wake) {
			gone()
		}
	}()
	return func() {
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // cannot fail: the counter is 0
		<-ended
		unix.Close(wake)
	}
}

// awaitUnread waits until the reader of fd is gone: the other end of a pipe or
// socket is closed (POLLERR), or a terminal has hung up (POLLHUP). This never
// happens to a regular file. It returns false when wake can be read, and where
// poll(2) cannot tell.
func awaitUnread(fd, wake int) bool {
	for {
		// No events of fd: poll(2) reports errors and hang-ups always.
		fds := []unix.PollFd{{Fd: int32(fd)}, {Fd: int32(wake), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || fds[0].Revents&unix.POLLNVAL != 0:
			return false
		case fds[0].Revents != 0:
			return true
		case fds[1].Revents != 0:
			return false
		}
	}
}
