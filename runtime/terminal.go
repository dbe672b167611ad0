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
		return 0, fail.New(fail.Usage, "standard input is not a terminal")
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
		return 0, m.execError(name, p, err)
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
	over, ended, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("make pipe: %w", err)
	}
	defer over.Close()
	defer ended.Close()
	output := make(chan error, 1)
	go func() {
		err := copyTerminal(stdio.Out, r.Console, over)
		if err != nil {
			_ = r.Signal(syscall.SIGHUP) // its terminal is gone
			_ = r.Console.Close()
		}
		output <- err
	}()
	status, err := r.Wait()
	if err != nil {
		return 0, err
	}
	ended.Close()
	if err := <-output; err != nil && !errors.Is(err, unix.EPIPE) {
		return 0, fmt.Errorf("write the command's output: %w", err)
	}
	return status, nil
}

// copyTerminal writes what a terminal shows to out, until the terminal ends or,
// once over has been closed at its other end, until there is nothing left to
// show: something in the background may hold the terminal for ever. The error
// is one of out.
func copyTerminal(out io.Writer, master, over *os.File) error {
	buf := make([]byte, 32<<10)
	watched := []unix.PollFd{{Fd: int32(master.Fd()), Events: unix.POLLIN}, {Fd: int32(over.Fd()), Events: unix.POLLIN}}
	timeout := -1
	for {
		n, err := unix.Poll(watched, timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			return nil
		case len(watched) > 1 && watched[1].Revents != 0:
			watched, timeout = watched[:1], int(lookAgain.Milliseconds())
			continue
		}
		read, err := master.Read(buf)
		if read > 0 {
			if _, err := out.Write(buf[:read]); err != nil {
				return err
			}
		}
		if err != nil { // EIO is how a terminal ends
			return nil
		}
	}
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
