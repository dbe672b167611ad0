package cli

import (
	"context"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errUnread is the cause of a context that ends because no one reads standard
// output any more.
var errUnread = errors.New("standard output is not read any more")

// whileRead calls do, which writes to standard output now and then until its
// context ends. When the reader of standard output is gone, the context ends at
// once, and not only with the next write; then whileRead returns the error that
// such a write would have.
func (a *app) whileRead(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := watchReader(int(a.stdio.Out.Fd()), func() { cancel(errUnread) })
	defer stop()
	err := do(ctx)
	if errors.Is(context.Cause(ctx), errUnread) {
		return writeError(&os.PathError{Op: "write", Path: a.stdio.Out.Name(), Err: syscall.EPIPE})
	}
	return err
}

// watchReader calls gone when no one reads what is written to fd any more. After
// stop it uses fd no longer.
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

// awaitUnread waits until no one reads what is written to fd: the other end of
// a pipe or socket is closed (POLLERR), or a terminal has hung up (POLLHUP). That
// never happens to a regular file. It is false when wake can be read, and where
// it cannot be known.
func awaitUnread(fd, wake int) bool {
	for {
		// No events of fd are asked for: errors and hang-ups are told anyway (poll(2)).
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
