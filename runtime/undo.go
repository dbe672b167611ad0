package runtime

import (
	"errors"

	"croft/internal/fail"
)

// An undo takes back what a command has done so far. Steps are armed before
// the act, since an act that fails half way has done something too; so every
// step takes "it was never done" for success.
type undo struct{ steps []func() error }

func (u *undo) arm(step func() error) { u.steps = append(u.steps, step) }

// onError runs the steps, newest first, if *err says that the command failed,
// and adds what could not be taken back to it.
func (u *undo) onError(err *error) {
	if *err == nil {
		return
	}
	for i := len(u.steps) - 1; i >= 0; i-- {
		if e := u.steps[i](); e != nil {
			*err = &undone{cause: *err, rest: e}
		}
	}
	u.steps = nil
}

// undone is a failure that could not be taken back whole.
type undone struct{ cause, rest error }

func (e *undone) Error() string   { return e.cause.Error() + " (and undoing it: " + e.rest.Error() + ")" }
func (e *undone) Unwrap() []error { return []error{e.cause, e.rest} }

// As keeps the kind of what failed that of the whole, also where only what
// could not be taken back was classified.
func (e *undone) As(target any) bool {
	to, ok := target.(**fail.Error)
	if !ok || errors.As(e.cause, to) {
		return ok
	}
	*to = &fail.Error{Kind: fail.KindOf(e.cause), Msg: e.Error(), Err: e.cause}
	return true
}
