package oci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"croft/runtime/container"
)

// A terminal joins a terminal inside to the caller's own, which is raw
// meanwhile.
type terminal struct {
	host         *os.File // the caller's
	was          *unix.Termios
	ours, theirs *os.File // the socket that the master comes over
	master       *os.File
	copying      sync.WaitGroup
}

// open finds the caller's terminal: one of its streams, or if they are all
// redirected the one that it was started from.
func (t *terminal) open(s *container.Streams) (err error) {
	for _, f := range []*os.File{os.Stderr, os.Stdout, os.Stdin} {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			t.host = f
			break
		}
	}
	if t.host == nil {
		if t.host, err = os.Open("/dev/tty"); err != nil {
			return err
		}
	}
	if t.ours, t.theirs, err = container.ConsoleSocket(); err != nil {
		return err
	}
	s.Console = t.theirs
	return nil
}

func (t *terminal) connect() (err error) {
	t.theirs.Close()
	if t.master, err = container.ReceiveConsole(t.ours); err != nil {
		return err
	}
	// A line ends with a newline alone, which the caller's terminal completes.
	mode, err := unix.IoctlGetTermios(int(t.master.Fd()), unix.TCGETS)
	if err != nil {
		return fmt.Errorf("ask terminal's mode: %w", err)
	}
	mode.Oflag &^= unix.ONLCR
	if err := unix.IoctlSetTermios(int(t.master.Fd()), unix.TCSETS, mode); err != nil {
		return fmt.Errorf("set terminal's mode: %w", err)
	}
	if err := t.unblock(); err != nil {
		return err
	}
	if err := t.makeRaw(); err != nil {
		return fmt.Errorf("failed to set the terminal from the stdin: %w", err)
	}
	t.resize()
	go func() { _, _ = io.Copy(t.master, os.Stdin) }()
	t.copying.Go(func() { _, _ = io.Copy(os.Stdout, t.master) })
	return nil
}

// unblock makes the master one that a read can be called off from: File.Fd
// has made it block.
func (t *terminal) unblock() error {
	fd, err := unix.FcntlInt(t.master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	t.master.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	t.master = os.NewFile(uintptr(fd), "console")
	return nil
}

// makeRaw has the caller's terminal pass everything on as it is typed, as
// cfmakeraw(3), but completes lines in what it shows.
func (t *terminal) makeRaw() error {
	was, err := unix.IoctlGetTermios(int(t.host.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	raw := *was
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag |= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(t.host.Fd()), unix.TCSETS, &raw); err != nil {
		return err
	}
	t.was = was
	return nil
}

// resize gives the terminal inside the size of the caller's. One that has
// gone has none.
func (t *terminal) resize() {
	size, err := unix.IoctlGetWinsize(int(t.host.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return
	}
	if raw, err := t.master.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	}
}

// drain passes on what the process wrote before it ended. Whoever still has
// the terminal in the background is not waited for.
func (t *terminal) drain() {
	_ = t.master.SetReadDeadline(time.Now())
	t.copying.Wait()
	raw, err := t.master.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		buf := make([]byte, 32<<10)
		for {
			n, err := unix.Read(int(fd), buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n <= 0 {
				return
			}
			if _, err := os.Stdout.Write(buf[:n]); err != nil {
				return
			}
		}
	})
}

func (t *terminal) close() {
	if t.was != nil {
		_ = unix.IoctlSetTermios(int(t.host.Fd()), unix.TCSETS, t.was)
	}
	for _, f := range []*os.File{t.ours, t.theirs, t.master} {
		f.Close() // nil refuses, which is as good
	}
}
