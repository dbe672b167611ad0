package container

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/opencontainers/runc/libcontainer"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A NotRunnable is a command that could not be executed inside: it is not
// there, or it may not or cannot be run.
type NotRunnable struct {
	Command string
	Absent  bool
	Reason  string
}

func (e *NotRunnable) Error() string {
	if e.Absent {
		return fmt.Sprintf("no command %q inside", e.Command)
	}
	return fmt.Sprintf("cannot execute %q inside: %s", e.Command, e.Reason)
}

// A Running is a command that runs inside a container.
type Running struct {
	PID     int
	Console *os.File // the master of its terminal, if it asked for one; the caller closes it

	process *libcontainer.Process
}

// Exec runs a command in the running container id, connected to stdio unless
// spec asks for a terminal. Its capabilities and limits are those that spec
// names. A command that cannot be run is a *NotRunnable.
func (e Engine) Exec(id string, spec *specs.Process, stdio [3]*os.File) (_ *Running, err error) {
	c, err := e.load(id)
	if err != nil {
		return nil, err
	}
	lp, err := newProcess(spec)
	if err != nil {
		return nil, err
	}
	if lp.SubCgroupPaths, err = besideInit(c); err != nil {
		return nil, err
	}
	var ours *os.File
	if spec.Terminal {
		var theirs *os.File
		if ours, theirs, err = consolePair(); err != nil {
			return nil, err
		}
		defer ours.Close()
		defer theirs.Close()
		lp.ConsoleSocket = theirs
	} else {
		lp.Stdin, lp.Stdout, lp.Stderr = stdio[0], stdio[1], stdio[2]
	}
	if err := c.Run(lp); err != nil {
		return nil, notRunnable(spec.Args[0], err)
	}
	r := &Running{process: lp}
	if r.PID, err = lp.Pid(); err != nil {
		return nil, fmt.Errorf("find command: %w", err)
	}
	if spec.Terminal {
		if r.Console, err = receiveConsole(ours); err != nil {
			_ = lp.Signal(syscall.SIGKILL)
			_, _ = lp.Wait()
			return nil, err
		}
	}
	return r, nil
}

// Signal sends sig to the command; one that has ended is success.
func (r *Running) Signal(sig os.Signal) error {
	if err := r.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal command: %w", err)
	}
	return nil
}

// Wait returns the command's exit status, 128+n if signal n ended it.
func (r *Running) Wait() (int, error) {
	state, err := r.process.Wait()
	var exit interface{ ExitCode() int }
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("wait for command: %w", err)
	}
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// notRunnable tells the command's own fault from ours. The error was made in
// another process and comes over a pipe as text, so text is all there is.
func notRunnable(command string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "executable file not found"), strings.Contains(text, "no such file or directory") && strings.Contains(text, "exec"):
		return &NotRunnable{Command: command, Absent: true}
	case strings.Contains(text, "permission denied") && strings.Contains(text, "exec"),
		strings.Contains(text, "exec format error"), strings.Contains(text, "is a directory"):
		return &NotRunnable{Command: command, Reason: text[strings.LastIndex(text, ": ")+2:]}
	}
	return fmt.Errorf("run command: %w", err)
}
