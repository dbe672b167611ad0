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
	go func() {
		if awaitUnread(int(a.stdio.Out.Fd())) {
			cancel(errUnread)
		}
	}()
	err := do(ctx)
	if errors.Is(context.Cause(ctx), errUnread) {
		return writeError(&os.PathError{Op: "write", Path: a.stdio.Out.Name(), Err: syscall.EPIPE})
	}
	return err
}

// awaitUnread waits until no one reads what is written to fd: the other end of
// a pipe or socket is closed (POLLERR), or a terminal has hung up (POLLHUP). It
// never returns for a regular file. It is false where that cannot be known.
func awaitUnread(fd int) bool {
	for {
		// No events are asked for: errors and hang-ups are told anyway (poll(2)).
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || fds[0].Revents&unix.POLLNVAL != 0:
			return false
		case n > 0:
			return true
		}
	}
}
