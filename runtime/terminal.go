package runtime

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"croft/internal/fail"
)

// execTerminal runs p on a terminal of the VPS's own, and joins the caller's
// terminal to it: raw, with its window size, restored whatever happens.
func (m *Manager) execTerminal(name string, p *specs.Process, stdio Stdio) (int, error) {
	if stdio.In == nil || !term.IsTerminal(int(stdio.In.Fd())) {
		return 0, fail.New(fail.Usage, "standard input is no terminal")
	}
	if w, h, err := term.GetSize(int(stdio.In.Fd())); err == nil {
		p.ConsoleSize = &specs.Box{Width: uint(w), Height: uint(h)}
	}
	// Before the command is there: a signal that this process was started with
	// ignored would be ignored inside too.
	signals := forwarded()
	defer signal.Stop(signals)
	r, err := m.containers.Exec(name, p, [3]*os.File{})
	if err != nil {
		return 0, execError(name, err)
	}
	defer r.Console.Close()
	old, err := term.MakeRaw(int(stdio.In.Fd()))
	if err != nil {
		return 0, fmt.Errorf("make terminal raw: %w", err)
	}
	defer func() { _ = term.Restore(int(stdio.In.Fd()), old) }()

	done := make(chan struct{})
	defer close(done)
	go forward(r, signals, done)
	go followSize(stdio.In, r.Console, done)
	go func() { _, _ = io.Copy(r.Console, stdio.In) }() // ends with the process
	output := make(chan error, 1)
	go func() {
		_, err := io.Copy(stdio.Out, r.Console)
		output <- err
	}()
	status, err := r.Wait()
	if err != nil {
		return 0, err
	}
	// The master reads EIO when the last slave is closed, which something in
	// the background may hold; what is in it comes before that.
	if err := drainTerminal(r.Console, output); err != nil {
		return 0, err
	}
	return status, nil
}

// followSize gives the terminal inside the size of the one outside, now and
// whenever that changes.
func followSize(outside, inside *os.File, done <-chan struct{}) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	for {
		if size, err := unix.IoctlGetWinsize(int(outside.Fd()), unix.TIOCGWINSZ); err == nil {
			_ = unix.IoctlSetWinsize(int(inside.Fd()), unix.TIOCSWINSZ, size)
		}
		select {
		case <-changed:
		case <-done:
			return
		}
	}
}

// drainTerminal returns when the copy of what a terminal shows has ended, or
// there is nothing left to copy.
func drainTerminal(master *os.File, copied <-chan error) error {
	for {
		poll := []unix.PollFd{{Fd: int32(master.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(lookAgain.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("drain terminal: %w", err)
		}
		select {
		case <-copied: // EIO is how a terminal ends
			return nil
		default:
		}
		if n == 0 {
			return nil
		}
	}
}
