package cli

import (
	"croft/internal/fail"
	"errors"
	"fmt"
	"strings"
)

// A status is the exit status of a command inside. It is not a failure of croft, so
// croft prints nothing.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

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

// cannot adds the failed act and the name to err. It leaves nil, usage errors and
// the status of a command inside unchanged.
func cannot(act, name string, err error) error {
	var s status
	if err == nil || errors.As(err, &s) || fail.Is(err, fail.Usage) {
		return err
	}
	return &refusal{name: name, act: act, err: err}
}

// A reported error has been printed. It still becomes the exit status.
type reported struct{ Err error }

func (r reported) Error() string { return r.Err.Error() }
func (r reported) Unwrap() error { return r.Err }

// usageError is an error about the command line.
func usageError(format string, args ...any) *fail.Error {
	return fail.New(fail.Usage, format, args...)
}
