package oci

import (
	"errors"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"croft/runtime/container"
	"croft/runtime/streams"
)

// A foreground connects a process inside with the caller's own streams until
// it ends.
type foreground interface {
	open(s *container.Streams) error    // before the process is made
	connect(r *container.Running) error // when it has been
	resize()                            // the caller's window may have another size
	drain()                             // when it has ended: pass the rest on
	close()                             // whatever happened
}

// pipes are three pipes, so that nothing of the caller's own is inside, and a
// checkpoint finds only files that a restore can make again.
type pipes struct {
	owner interface {
		Give(pipes ...*os.File) error // makes them the property of the container's root
	}
	streams *streams.Pipes
}

func (p *pipes) open(s *container.Streams) (err error) {
	if p.streams, err = streams.NewPipes(os.Stdin, os.Stdout, os.Stderr); err != nil {
		return err
	}
	s.Stdio = p.streams.Inside()
	return p.owner.Give(s.Stdio[:]...)
}

func (p *pipes) connect(*container.Running) error {
	p.streams.Start()
	return nil
}

func (p *pipes) resize() {}

// drain waits for all processes that have the other ends, in the background too,
// as runc does.
func (p *pipes) drain() { _ = p.streams.FinishAll() }

func (p *pipes) close() {
	if p.streams != nil {
		p.streams.Close()
	}
}

// signals are the signals that this process gets for the process inside.
type signals chan os.Signal

// catchSignals begins to keep SIGCHLD, before the first child exists.
func catchSignals() signals {
	s := make(signals, 2048) // no signal may be missed
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
