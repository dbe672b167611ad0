package streams

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// newPty makes a terminal and returns both its ends.
func newPty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, master.Fd(), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Skip(errno)
	}
	slave = os.NewFile(fd, "slave")
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// All output of a command arrives, although a process in the background keeps
// its terminal. The caller's terminal has its mode back afterwards.
func TestTerminal(t *testing.T) {
	for _, c := range []struct {
		complete bool
		want     string
	}{{false, "25 91\r\nend\r\n"}, {true, "25 91\nend\n"}} {
		_, screen := newPty(t)
		if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: 91}); err != nil {
			t.Fatal(err)
		}
		before, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		master, slave := newPty(t)
		out, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		never, hold, err := os.Pipe() // nothing is typed
		if err != nil {
			t.Fatal(err)
		}
		defer hold.Close()
		term, err := NewTerminal(master, Outside{Screen: screen, In: never, Out: out, CompleteLines: c.complete})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", "stty size; cat <&3 & echo end")
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = slave, slave, slave, []*os.File{never}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		slave.Close()
		term.Start(cmd.Process)
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := term.Finish(); err != nil {
			t.Error(err)
		}
		term.Close()
		hold.Close() // ends the process in the background
		never.Close()
		text, err := os.ReadFile(out.Name())
		if err != nil || string(text) != c.want {
			t.Errorf("complete lines %t: %q, %v, want %q", c.complete, text, err, c.want)
		}
		after, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
		if err != nil || *after != *before {
			t.Errorf("the mode was %+v and is %+v, %v", before, after, err)
		}
	}
}
