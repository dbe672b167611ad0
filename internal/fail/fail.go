// Package fail is how croft says no: a kind, which is the exit status, one
// line for the person at the terminal, and a hint when a person can act.
package fail

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// A Kind says what sort of failure this is. Its value is croft's exit status;
// docs/exit-codes.md is the table that scripts may rely on.
type Kind int

// The kinds. A command inside a VPS has its own statuses: see ExecFailed.
const (
	Internal   Kind = 1  // unclassified: ours to fix
	Usage      Kind = 2  // an option or argument makes no sense
	NotFound   Kind = 3  // no such VPS, template, network, snapshot
	Taken      Kind = 4  // a name or address has another owner
	State      Kind = 5  // the VPS is in the wrong state for this
	Busy       Kind = 6  // another command holds the lock
	Permission Kind = 7  // needs root or a capability
	Host       Kind = 8  // the host lacks something
	Timeout    Kind = 9  // it did not happen in time
	Hook       Kind = 10 // a program of the administrator has prevented it
	FirstBoot  Kind = 11 // the VPS runs, and its first-boot script has failed
	Unwell     Kind = 12 // a command that looks for failures has found some
)

// Exit statuses of exec and run, where those of the command take the low ones.
const (
	ExecFailed     = 125 // croft failed, not the command
	ExecNotRunable = 126 // the command is there and cannot be executed
	ExecNotFound   = 127 // there is no such command
)

// An Error is a failure that was understood. Msg is lower case and one line,
// and names the act and its object.
type Error struct {
	Kind Kind
	Msg  string
	Hint string // the command to type next; may be empty
	Err  error  // the cause; may be nil
}

// New makes an error of kind k. A %w in format keeps the cause.
func New(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// Open says why a file that the user named cannot be opened: a missing one is NotFound, one that
// the user may not open Permission, any other Host. err is that of package os.
func Open(file string, err error) *Error {
	kind := Host
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = NotFound
	case errors.Is(err, fs.ErrPermission):
		kind = Permission
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno // without the path, which the message has
	}
	return New(kind, "open %s: %w", file, err)
}

// WithHint returns e with the command that a person may type next.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

func (e *Error) Error() string { return e.Msg }

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost classified error in err's chain,
// Internal if it was not classified. A full disk or quota, or a limit of the size
// of files (ulimit -f), is the host's lack wherever it is met.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return Host
	}
	return Internal
}

// HintOf returns the first hint in err's chain, or "".
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
		if err == nil {
			break
		}
	}
	return ""
}

// Is reports whether err was classified as kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
