package oci

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"croft/runtime/container"
)

// A foreground connects a process inside with the caller's own streams until
// it ends.
type foreground interface {
	open(s *container.Streams) error // before the process is made
	connect() error                  // when it has been
	resize()                         // the caller's window may have another size
	drain()                          // when it has ended: pass the rest on
	close()                          // whatever happened
}

// pipes are three pipes, so that nothing of the caller's own is inside, and a
// checkpoint finds nothing outside that a restore could not make again.
type pipes struct {
	owner interface {
		Give(pipes ...*os.File) error // makes them the property of the container's root
	}

	ours, theirs [3]*os.File
	copying      sync.WaitGroup
}

func (p *pipes) open(s *container.Streams) error {
	for i := range p.ours {
		read, write, err := os.Pipe()
		if err != nil {
			return err
		}
		p.ours[i], p.theirs[i] = read, write
		if i == 0 {
			p.ours[i], p.theirs[i] = write, read
		}
	}
	s.Stdio = p.theirs
	return p.owner.Give(p.theirs[:]...)
}

func (p *pipes) connect() error {
	for _, f := range p.theirs {
		f.Close()
	}
	go func() {
		_, _ = io.Copy(p.ours[0], os.Stdin)
		p.ours[0].Close()
	}()
	for i, to := range []*os.File{1: os.Stdout, 2: os.Stderr} {
		if to == nil {
			continue
		}
		p.copying.Add(1)
		go func() {
			defer p.copying.Done()
			_, _ = io.Copy(to, p.ours[i])
			p.ours[i].Close()
		}()
	}
	return nil
}

func (p *pipes) resize() {}

// drain waits for everybody who has the other ends, in the background too.
func (p *pipes) drain() { p.copying.Wait() }

func (p *pipes) close() {
	for i := range p.ours {
		p.ours[i].Close() // nil refuses, which is as good
		p.theirs[i].Close()
	}
}

// signals are those that this process is sent while it stands for one inside.
type signals chan os.Signal

// catchSignals keeps what tells of ended children, from before there are any.
func catchSignals() signals {
	s := make(signals, 2048) // none may be missed
	signal.Notify(s, unix.SIGCHLD)
	return s
}

func (s signals) all() { signal.Notify(s) }

func (s signals) stop() { signal.Stop(s) }

// wait passes signals on to r until it has ended, and returns its exit status.
// Every other child that ends meanwhile is reaped.
func (s signals) wait(r *container.Running, f foreground) int {
	f.resize()
	for {
		if status, ended := reap(r.PID); ended {
			_, _ = r.Wait() // forgets it
			return status
		}
		switch sig := <-s; sig {
		case unix.SIGCHLD:
		case unix.SIGWINCH:
			f.resize()
		case unix.SIGURG: // Go's scheduler sends it to itself
		default:
			_ = r.Signal(sig)
		}
	}
}

// reap takes the exit status of every child that has ended, and returns that
// of pid if it is one of them: 128+n if signal n ended it.
func reap(pid int) (status int, ended bool) {
	for {
		var w unix.WaitStatus
		child, err := unix.Wait4(-1, &w, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || child <= 0:
			return status, ended
		case child == pid && w.Signaled():
			status, ended = 128+int(w.Signal()), true
		case child == pid:
			status, ended = w.ExitStatus(), true
		}
	}
}
