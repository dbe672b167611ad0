package runtime

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

// pipes carry a command's three streams between the VPS and the caller's
// files.
type pipes struct {
	theirs [3]*os.File
	ours   [3]*os.File
	stdio  Stdio

	copying sync.WaitGroup
	ended   atomic.Bool // the command has; what is still in the pipes is all
	err     [3]error
}

func newPipes(stdio Stdio) (_ *pipes, err error) {
	p := &pipes{stdio: stdio}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for i := range p.ours {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("make pipe: %w", err)
		}
		if i == 0 {
			p.theirs[i], p.ours[i] = read, write
		} else {
			p.theirs[i], p.ours[i] = write, read
		}
	}
	return p, nil
}

// begin copies until drain. The command has its ends by now, so ours of them
// are closed.
func (p *pipes) begin() {
	for i, f := range p.theirs {
		f.Close()
		p.theirs[i] = nil
	}
	// Not waited for: nobody may ever type the line that would end it.
	go func() {
		if p.stdio.In != nil {
			_, _ = io.Copy(p.ours[0], p.stdio.In)
		}
		p.ours[0].Close()
	}()
	for i, to := range []*os.File{1: p.stdio.Out, 2: p.stdio.Err} {
		if i == 0 {
			continue
		}
		p.copying.Add(1)
		go func() {
			defer p.copying.Done()
			p.err[i] = p.copy(to, p.ours[i])
		}()
	}
}

// copy copies until the end of the stream, or, once the command has ended,
// until the pipe is empty: something that it left running in the background
// may hold the other end for ever.
func (p *pipes) copy(to io.Writer, from *os.File) error {
	if f, ok := to.(*os.File); ok && f == nil {
		to = io.Discard
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				from.Close() // the command learns it by SIGPIPE
				if errors.Is(err, unix.EPIPE) {
					return nil
				}
				return fmt.Errorf("write the command's output: %w", err)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if p.ended.Load() && empty(from) {
				return nil
			}
			_ = from.SetReadDeadline(time.Now().Add(lookAgain))
		default:
			return nil
		}
	}
}

// drain returns when all that the command wrote has been passed on.
func (p *pipes) drain() error {
	p.ended.Store(true)
	for _, f := range p.ours[1:] {
		_ = f.SetReadDeadline(time.Now())
	}
	p.copying.Wait()
	return errors.Join(p.err[1], p.err[2])
}

func (p *pipes) close() {
	for i := range p.ours {
		for _, f := range []*os.File{p.ours[i], p.theirs[i]} {
			if f != nil {
				f.Close()
			}
		}
	}
}

// empty reports whether nothing waits in a pipe.
func empty(pipe *os.File) bool {
	n := 0
	raw, err := pipe.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	return err != nil || n == 0
}
