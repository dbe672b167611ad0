package streams

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// A Command is a process inside that can be sent signals.
type Command interface {
	// Signal is a no-op if the command has ended.
	Signal(sig os.Signal) error
}

// Signals are the signals that a command gets when croft is sent them.
type Signals chan os.Signal

// CatchSignals begins to keep signals for a command. Call it before the command
// is started: a signal that this process ignores would be ignored inside too.
func CatchSignals() Signals {
	s := make(Signals, 16)
	signal.Notify(s, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	return s
}

// Stop ends CatchSignals.
func (s Signals) Stop() { signal.Stop(s) }

// Forward passes signals on to command until done is closed. For SIGWINCH it
// calls resize instead; nil drops it.
func (s Signals) Forward(command Command, resize func(), done <-chan struct{}) {
	for {
		select {
		case sig := <-s:
			switch {
			case sig != unix.SIGWINCH:
				_ = command.Signal(sig)
			case resize != nil:
				resize()
			}
		case <-done:
			return
		}
	}
}
