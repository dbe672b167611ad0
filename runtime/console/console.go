// Package console connects a person to the console of a running VPS, through
// the socket of the VPS's holder.
package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"croft/internal/fail"
	"croft/runtime/holder/protocol"
)

// DetachKeys names, for a person, the keys that end Attach on a terminal.
const DetachKeys = "Ctrl-] or, at the start of a line, Esc ."

// escapeTime is how long after Esc a dot still makes it a key that detaches.
const escapeTime = time.Second

// Attach connects in and out to the console of a VPS: out gets the output,
// first some of the earlier one, and input from in is sent. It returns nil when
// the user detaches, ErrClosed when the other side closes the connection, and
// the error of ctx when that is done first.
//
// If in is a terminal, it is in raw mode until Attach returns, the console gets
// its size, and DetachKeys detach. Otherwise all bytes of in are sent, and the
// end of in ends only the input. A read of in may still be waiting when Attach
// has returned.
func Attach(ctx context.Context, socket string, in, out *os.File) error {
	conn, err := dial(socket)
	if err != nil {
		return fail.New(fail.State, "attach to the console: %w", errors.Join(ErrNotServed, err))
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	s := session{conn: conn, in: in, out: out, terminal: term.IsTerminal(int(in.Fd()))}
	if s.terminal {
		before, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return fmt.Errorf("put the terminal into raw mode: %w", err)
		}
		defer func() {
			_ = term.Restore(int(in.Fd()), before)
			fmt.Fprintln(out) // later output begins a new line
		}()
	}
	go func() { cancel(s.show()) }()
	go func() { cancel(s.typeAll(ctx)) }()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, errOver) {
		return err
	}
	return nil
}

// ErrClosed means that the VPS or its holder has ended, or that the holder has
// turned the client away. Callers may test for it.
var ErrClosed = errors.New("the console was closed")

// ErrNotServed means that no holder listens at the socket. Callers may test for
// it.
var ErrNotServed = errors.New("the monitor does not serve it")

// errOver is that the user has detached.
var errOver = errors.New("detached")

func dial(socket string) (*net.UnixConn, error) {
	// The path of a socket's address may have 107 bytes, the name of a
	// directory that is open has few.
	dir, err := unix.Open(filepath.Dir(socket), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: filepath.Dir(socket), Err: err}
	}
	defer unix.Close(dir)
	name := fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(socket))
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name, Net: "unix"})
	var errno unix.Errno
	if errors.As(err, &errno) {
		return nil, &os.PathError{Op: "connect", Path: socket, Err: errno}
	}
	return conn, err
}

// A session is one person at one console.
type session struct {
	conn     *net.UnixConn
	in, out  *os.File
	terminal bool
}

// show copies the output of the VPS until it ends.
func (s *session) show() error {
	buf := make([]byte, 16<<10)
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			if _, err := s.out.Write(buf[:n]); err != nil {
				return fmt.Errorf("show the console: %w", err)
			}
		}
		if err != nil {
			return ErrClosed
		}
	}
}

// typeAll sends the input from in and the size of the window to the VPS. It
// returns when the user detaches. Without a terminal it waits for ctx when in
// has ended.
func (s *session) typeAll(ctx context.Context) error {
	var resized chan os.Signal
	if s.terminal {
		resized = make(chan os.Signal, 1)
		resized <- unix.SIGWINCH // the size that it has now
		signal.Notify(resized, unix.SIGWINCH)
		defer signal.Stop(resized)
	}
	typed := make(chan []byte)
	go s.read(ctx, typed)
	var k keys
	for {
		var alone <-chan time.Time
		if k.escaped {
			alone = time.After(escapeTime)
		}
		var frames []byte
		leave := false
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
			frames = s.size()
		case <-alone:
			frames = protocol.AppendData(nil, k.release())
		case p, more := <-typed:
			switch {
			case !more && s.terminal:
				leave = true // the terminal is gone
			case !more:
				typed = nil
				s.conn.CloseWrite()
			case s.terminal:
				p, leave = k.filter(p)
			}
			frames = protocol.AppendData(nil, p)
		}
		if _, err := s.conn.Write(frames); len(frames) > 0 && err != nil {
			// The VPS ended: show says when all of its output has been seen.
			<-ctx.Done()
			return nil
		}
		if leave {
			return errOver
		}
	}
}

func (s *session) read(ctx context.Context, typed chan<- []byte) {
	defer close(typed)
	for {
		buf := make([]byte, 4096)
		n, err := s.in.Read(buf)
		if n > 0 {
			select {
			case typed <- buf[:n]:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// size returns the frame that says how large the terminal is, nothing if it
// does not know.
func (s *session) size() []byte {
	cols, rows, err := term.GetSize(int(s.in.Fd()))
	if err != nil || cols <= 0 || rows <= 0 {
		return nil
	}
	return protocol.AppendSize(nil, uint16(rows), uint16(cols))
}
