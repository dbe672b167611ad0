package oci

import (
	"errors"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"croft/runtime/container"
	"croft/runtime/streams"
)

// A foreground connects a process inside with the streams of the caller until
// the process ends.
type foreground interface {
	open(s *container.Streams) error    // before the process is created
	connect(r *container.Running) error // after that
	resize()                            // the window of the caller may have another size
	drain()                             // after the process has ended: pass on the rest
	close()                             // always
}

// pipes connect by three pipes. So no file of the caller is inside, and
// a checkpoint finds only files that restore can create again.
type pipes struct {
	owner interface {
		Give(pipes ...*os.File) error // root of the container owns them afterwards
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

// drain waits for all processes that hold the other ends, also in the
// background, as runc does.
func (p *pipes) drain() { _ = p.streams.FinishAll() }

func (p *pipes) close() {
	if p.streams != nil {
		p.streams.Close()
	}
}

// signals are received here for the process inside.
type signals chan os.Signal

// catchSignals starts to queue SIGCHLD. Call it before the first child exists.
func catchSignals() signals {
	s := make(signals, 2048) // large enough to lose no signal
	signal.Notify(s, unix.SIGCHLD)
	return s
}

func (s signals) all() { signal.Notify(s) }

func (s signals) stop() { signal.Stop(s) }

// wait passes signals on to r until r has ended, and returns its exit status. It
// reaps every other child that ends meanwhile.
func (s signals) wait(r *container.Running, f foreground) int {
	f.resize()
	for {
		if status, ended := reap(r.PID); ended {
			_, _ = r.Wait() // frees its resources
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

// reap takes the exit status of every child that has ended. It returns the status
// of pid if that is among them: 128+n if signal n ended it.
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
