// Package streams connects a command inside a container with the streams of its
// caller: by three pipes or by a terminal, and by signals. VPSs and croft oci
// share it. The command never gets the caller's own files.
package streams

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long a stream without data may still get some after the command
// has ended: what the command wrote is on its way through the kernel.
const quiet = 50 * time.Millisecond

// Pipes carry the three streams of a command between its own ends and the
// caller's files. Use: NewPipes, give Inside to the command, Start when the
// command runs, Finish when it has ended, Close.
type Pipes struct {
	in      *os.File
	out     [3]io.Writer // out and err
	inside  [3]*os.File
	outside [3]*os.File

	copying sync.WaitGroup
	ended   atomic.Bool // the command has ended
	errs    [3]error
}

// NewPipes makes pipes for a command. A nil in is empty, and what the command
// writes to a nil out or err is dropped. The files stay the caller's.
func NewPipes(in, out, err *os.File) (*Pipes, error) {
	p := &Pipes{in: in, out: [3]io.Writer{1: writer(out), 2: writer(err)}}
	for i := range p.outside {
		read, write, err := os.Pipe()
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("cannot make a pipe: %w", err)
		}
		p.inside[i], p.outside[i] = write, read
		if i == 0 {
			p.inside[i], p.outside[i] = read, write
		}
	}
	return p, nil
}

func writer(f *os.File) io.Writer {
	if f == nil { // a nil *os.File in an interface is not nil
		return io.Discard
	}
	return f
}

// Inside returns the command's ends: standard input, output and error. Start
// closes them here.
func (p *Pipes) Inside() [3]*os.File { return p.inside }

// Start begins to copy. The command must have its ends.
func (p *Pipes) Start() {
	for i, f := range p.inside {
		f.Close()
		p.inside[i] = nil
	}
	// Finish does not wait for this one: the read ends when the user types.
	go func() {
		if p.in != nil {
			_, _ = io.Copy(p.outside[0], p.in)
		}
		p.outside[0].Close()
	}()
	for _, i := range []int{1, 2} {
		p.copying.Go(func() { p.errs[i] = p.copy(p.out[i], p.outside[i]) })
	}
}

// copy copies to the end of the stream, or, after Finish, until the pipe is
// empty.
func (p *Pipes) copy(to io.Writer, from *os.File) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				from.Close() // the command gets SIGPIPE
				if errors.Is(err, unix.EPIPE) {
					return nil
				}
				return fmt.Errorf("cannot write the command's output: %w", err)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if p.ended.Load() && empty(from) {
				return nil
			}
			_ = from.SetReadDeadline(time.Now().Add(quiet))
		default:
			return nil
		}
	}
}

// Finish returns when everything that the command wrote has been copied. It
// does not wait for processes in the background that still have the command's
// ends open. The error is one of writing to the caller's files, except EPIPE.
func (p *Pipes) Finish() error {
	p.ended.Store(true)
	for _, f := range p.outside[1:] {
		_ = f.SetReadDeadline(time.Now())
	}
	return p.FinishAll()
}

// FinishAll is Finish, but waits until no process has the command's ends open.
func (p *Pipes) FinishAll() error {
	p.copying.Wait()
	return errors.Join(p.errs[1], p.errs[2])
}

// Cut ends all copying of output at once, whoever still writes. Finish returns then.
func (p *Pipes) Cut() {
	for _, f := range p.outside[1:] {
		f.Close()
	}
}

// Close closes all ends that are still open.
func (p *Pipes) Close() {
	for i := range p.outside {
		for _, f := range []*os.File{p.outside[i], p.inside[i]} {
			if f != nil {
				f.Close()
			}
		}
	}
}

// empty reports whether a pipe holds no data.
func empty(pipe *os.File) bool {
	n := 0
	raw, err := pipe.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	return err != nil || n == 0
}
