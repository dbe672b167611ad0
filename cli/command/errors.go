package command

import (
	"errors"
	"fmt"
	"strings"

	"croft/internal/fail"
)

// A Status is the exit status of a command inside. It is not a failure of croft, so
// croft prints nothing.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// A refusal is an error about one VPS, template or network, with the failed act.
type refusal struct {
	name, act string // web, "start"
	err       error
}

// Error returns "web: cannot start: REASON". A REASON that begins with the name
// has "it" instead.
func (r *refusal) Error() string {
	why := r.err.Error()
	if rest, ok := strings.CutPrefix(why, r.name+": "); ok {
		why = rest
	} else if rest, ok := strings.CutPrefix(why, r.name+" "); ok {
		why = "it " + rest
	}
	return fmt.Sprintf("%s: cannot %s: %s", r.name, r.act, why)
}

func (r *refusal) Unwrap() error { return r.err }

// Cannot adds the failed act and the name to err. It leaves nil, usage errors and
// the status of a command inside unchanged.
func Cannot(act, name string, err error) error {
	var s Status
	if err == nil || errors.As(err, &s) || fail.Is(err, fail.Usage) {
		return err
	}
	return &refusal{name: name, act: act, err: err}
}

// A Reported error has been printed. It still becomes the exit status.
type Reported struct{ Err error }

func (r Reported) Error() string { return r.Err.Error() }
func (r Reported) Unwrap() error { return r.Err }

// UsageError is an error about the command line.
func UsageError(format string, args ...any) *fail.Error {
	return fail.New(fail.Usage, format, args...)
}
