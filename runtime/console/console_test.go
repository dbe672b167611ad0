package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/runtime/holder/protocol"
)

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name  string
		typed []string // "" is that time passes
		pass  string
		leave bool
	}{
		{"plain", []string{"ls -l\r"}, "ls -l\r", false},
		{"ctrl-]", []string{"ab\x1dcd"}, "ab", true},
		{"esc dot first", []string{"\x1b."}, "", true},
		{"esc dot after enter", []string{"ls\r\x1b", "."}, "ls\r", true},
		{"esc dot in a line", []string{"vi\x1b.x"}, "vi\x1b.x", false},
		{"arrow at the start", []string{"\x1b[A\r"}, "\x1b[A\r", false},
		{"esc twice", []string{"\x1b\x1b."}, "\x1b\x1b.", false},
		{"esc, late dot", []string{"\x1b", "", "."}, "\x1b.", false},
		{"dots", []string{"...\r.\r"}, "...\r.\r", false},
		{"esc ctrl-]", []string{"\x1b\x1d"}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k keys
			var pass []byte
			leave := false
			for _, p := range c.typed {
				var got []byte
				if p == "" {
					got = k.release()
				} else {
					got, leave = k.filter([]byte(p))
				}
				pass = append(pass, got...)
			}
			if string(pass) != c.pass || leave != c.leave {
				t.Errorf("%q passes %q, leaves %v; want %q, %v", c.typed, pass, leave, c.pass, c.leave)
			}
		})
	}
}

// FuzzKeys holds that nothing typed is lost or invented, however it is cut.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("a\r\x1b[A"), 1)
	f.Add([]byte("\x1b\x1b.\x1d"), 2)
	f.Fuzz(func(t *testing.T, typed []byte, at int) {
		at = min(max(at, 0), len(typed))
		var k keys
		pass, leave := k.filter(typed[:at])
		if !leave {
			var more []byte
			more, leave = k.filter(typed[at:])
			pass = append(pass, more...)
		}
		if !leave {
			pass = append(pass, k.release()...)
			if string(pass) != string(typed) {
				t.Fatalf("%q became %q", typed, pass)
			}
		} else if !strings.HasPrefix(string(typed), string(pass)) {
			t.Fatalf("%q became %q before it left", typed, pass)
		}
	})
}

// A fake is the holder's end of a console.
type fake struct {
	net.Conn
	socket   string
	listener net.Listener
}

func listen(t *testing.T) *fake {
	t.Helper()
	f := &fake{socket: filepath.Join(t.TempDir(), "console")}
	var err error
	if f.listener, err = net.Listen("unix", f.socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.listener.Close() })
	return f
}

func (f *fake) accept(t *testing.T) {
	t.Helper()
	var err error
	if f.Conn, err = f.listener.Accept(); err != nil {
		t.Fatal(err)
	}
	f.SetDeadline(time.Now().Add(2 * time.Minute))
	t.Cleanup(func() { f.Close() })
}

// frames reads one piece after the other: "80x24" for a size, or the input.
func (f *fake) frames(t *testing.T, want string) {
	t.Helper()
	var d protocol.Decoder
	got := ""
	buf := make([]byte, 1)
	for got != want {
		if n, err := f.Read(buf); n != 1 {
			t.Fatalf("frames: %v; so far %q, want %q", err, got, want)
		}
		piece, _, err := d.Next(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += string(piece.Data)
		if piece.Resize {
			got += fmt.Sprintf("(%dx%d)", piece.Cols, piece.Rows)
		}
	}
}

func attach(ctx context.Context, f *fake, in, out *os.File) <-chan error {
	done := make(chan error, 1)
	go func() { done <- Attach(ctx, f.socket, in, out) }()
	return done
}

func wait(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(2 * time.Minute):
		t.Fatal("Attach did not return")
		return nil
	}
}

func TestAttachPipes(t *testing.T) {
	f := listen(t)
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	done := attach(t.Context(), f, inR, outW)
	f.accept(t)
	io.WriteString(inW, "a\x1db\x1b.")
	f.frames(t, "a\x1db\x1b.") // no keys detach: it is no terminal
	inW.Close()
	io.WriteString(f, "still shown")
	f.Close()
	if err := wait(t, done); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	outW.Close()
	if got, _ := io.ReadAll(outR); string(got) != "still shown" {
		t.Errorf("shown: %q", got)
	}
}

func TestAttachTerminal(t *testing.T) {
	f := listen(t)
	master, slave := openPTY(t)
	size := func(cols, rows uint16) {
		if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
			t.Fatal(err)
		}
	}
	modes := func() string {
		m, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(*m)
	}
	before := modes()
	size(80, 24)
	done := attach(t.Context(), f, slave, slave)
	f.accept(t)
	f.frames(t, "(80x24)")
	if modes() == before {
		t.Error("the terminal is not in raw mode")
	}
	size(132, 43)
	unix.Kill(os.Getpid(), unix.SIGWINCH)
	f.frames(t, "(132x43)")
	io.WriteString(master, "ls\r\x1b[A\x1b")
	f.frames(t, "ls\r\x1b[A\x1b")
	io.WriteString(master, "\r\x1b.")
	if err := wait(t, done); err != nil {
		t.Error(err)
	}
	if modes() != before {
		t.Error("the terminal is not as it was before")
	}
}

func TestAttachIsCancelled(t *testing.T) {
	f := listen(t)
	inR, _ := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := attach(ctx, f, inR, inR)
	f.accept(t)
	cancel()
	if err := wait(t, done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAttachNowhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("long", 30), "console")
	if err := Attach(t.Context(), path, os.Stdin, os.Stdout); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}
