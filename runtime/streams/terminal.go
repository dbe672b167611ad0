package streams

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A Terminal joins the terminal of a command to the caller's terminal, which is
// in raw mode meanwhile. Use: NewTerminal, Start, Finish when the command has
// ended, Close.
type Terminal struct {
	outside Outside
	master  *os.File
	was     *term.State

	over, end *os.File // a pipe: end is closed when the command has ended
	copied    chan error
}

// Outside is the caller's side of a Terminal.
type Outside struct {
	Screen *os.File // the terminal whose mode is changed and whose size counts
	In     io.Reader
	Out    io.Writer
	// CompleteLines makes Screen turn a newline into a new line, and the
	// command's terminal leave newlines as they are. So a redirected Out has
	// no carriage returns.
	CompleteLines bool
}

// NewTerminal puts outside.Screen into raw mode and gives the terminal of the
// command, whose master this is, its size. On error nothing is changed. The
// caller closes master after Close.
func NewTerminal(master *os.File, outside Outside) (_ *Terminal, err error) {
	t := &Terminal{outside: outside, master: master, copied: make(chan error, 1)}
	if t.over, t.end, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	if t.was, err = term.MakeRaw(int(outside.Screen.Fd())); err == nil && outside.CompleteLines {
		if err = setOutputMode(outside.Screen, func(mode *unix.Termios) { mode.Oflag |= unix.OPOST }); err == nil {
			err = setOutputMode(master, func(mode *unix.Termios) { mode.Oflag &^= unix.ONLCR })
		}
	}
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("cannot put the terminal into raw mode: %w", err)
	}
	t.Resize()
	return t, nil
}

func setOutputMode(terminal *os.File, change func(*unix.Termios)) error {
	mode, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	change(mode)
	return unix.IoctlSetTermios(int(terminal.Fd()), unix.TCSETS, mode)
}

// Start begins to copy between the two terminals. If the caller's side cannot be
// written any more, command gets SIGHUP and its terminal is closed.
func (t *Terminal) Start(command Command) {
	go func() { _, _ = io.Copy(t.master, t.outside.In) }() // ends with this process
	go func() {
		err := t.show()
		if err != nil {
			_ = command.Signal(unix.SIGHUP)
			_ = t.master.Close()
		}
		t.copied <- err
	}()
}

// show copies what the command's terminal shows, until that ends or, after
// Finish, until there is no more to show. The error is one of writing.
func (t *Terminal) show() error {
	buf := make([]byte, 32<<10)
	watched := []unix.PollFd{{Fd: int32(t.master.Fd()), Events: unix.POLLIN}, {Fd: int32(t.over.Fd()), Events: unix.POLLIN}}
	timeout := -1
	for {
		n, err := unix.Poll(watched, timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			return nil
		case len(watched) > 1 && watched[1].Revents != 0:
			watched, timeout = watched[:1], int(quiet.Milliseconds())
			continue
		}
		read, err := t.master.Read(buf)
		if read > 0 {
			if _, err := t.outside.Out.Write(buf[:read]); err != nil {
				return err
			}
		}
		if err != nil { // EIO: no process has the terminal open any more
			return nil
		}
	}
}

// Resize gives the command's terminal the size of the caller's. It is a no-op if
// either of them is gone.
func (t *Terminal) Resize() {
	size, err := unix.IoctlGetWinsize(int(t.outside.Screen.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return
	}
	if raw, err := t.master.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	}
}

// Finish returns when everything that the command wrote has been copied. It does
// not wait for processes in the background that still have the terminal. The
// error is one of writing to the caller's side, except EPIPE.
func (t *Terminal) Finish() error {
	t.end.Close()
	if err := <-t.copied; err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("cannot write the command's output: %w", err)
	}
	return nil
}

// Close puts the caller's terminal back into its mode.
func (t *Terminal) Close() {
	if t.was != nil {
		_ = term.Restore(int(t.outside.Screen.Fd()), t.was)
	}
	t.over.Close()
	t.end.Close()
}
