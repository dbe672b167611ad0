//go:build integration

package integration

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is what a person sits at: croft runs on the slave side of a pty,
// as a session of its own.
type terminal struct {
	t      *testing.T
	master *os.File
	done   chan error

	mu    sync.Mutex
	shown []byte
	grown chan struct{} // closed and replaced when shown grows
}

// onTerminal runs croft on a terminal of 80 columns and 24 rows.
func onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	return onTerminalOf(t, command(t.Context(), args...))
}

// onTerminalOf runs cmd on such a terminal.
func onTerminalOf(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, slave := openPTY(t)
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	term := &terminal{t: t, master: master, done: make(chan error, 1), grown: make(chan struct{})}
	term.resize(80, 24)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go term.read()
	go func() { term.done <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	return term
}

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func (term *terminal) read() {
	buf := make([]byte, 4096)
	for {
		n, err := term.master.Read(buf)
		term.mu.Lock()
		term.shown = append(term.shown, buf[:n]...)
		close(term.grown)
		term.grown = make(chan struct{})
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (term *terminal) resize(cols, rows uint16) {
	raw, err := term.master.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) {
			err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
		})
	}
	if err != nil {
		term.t.Fatal(err)
	}
}

// typ types text.
func (term *terminal) typ(text string) {
	term.t.Helper()
	if _, err := term.master.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

// expect waits until text is shown, and forgets all up to it.
func (term *terminal) expect(text string) {
	term.t.Helper()
	limit := time.After(usual)
	for {
		term.mu.Lock()
		before, after, found := bytes.Cut(term.shown, []byte(text))
		if found {
			term.shown = after
		}
		grown := term.grown
		term.mu.Unlock()
		if found {
			return
		}
		select {
		case <-grown:
		case <-limit:
			term.t.Fatalf("the terminal does not show %q, but %q", text, before)
		}
	}
}

// ended waits for croft to exit and returns its status.
func (term *terminal) ended() int {
	term.t.Helper()
	select {
	case err := <-term.done:
		return exitStatus(err)
	case <-time.After(usual):
		term.t.Fatalf("it does not end; the terminal shows %q", term.text())
		return -1
	}
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return string(term.shown)
}

const (
	sigterm = unix.SIGTERM
	sigint  = unix.SIGINT
)

// background starts croft and returns what to wait for it with.
func background(t *testing.T, args ...string) (cmd *exec.Cmd, wait func() result) {
	t.Helper()
	cmd = command(t.Context(), args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return cmd, func() result {
		t.Helper()
		select {
		case err := <-done:
			return result{args: args, status: exitStatus(err), out: out.String(), errOut: errOut.String(), took: time.Since(start)}
		case <-time.After(usual):
			cmd.Process.Kill()
			<-done
			t.Fatalf("croft %v did not end in %v: %s%s", args, usual, out.String(), errOut.String())
			panic("unreachable")
		}
	}
}
