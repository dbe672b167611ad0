// Package undo undoes what a command has done, if the command fails.
package undo

import (
	"errors"

	"croft/internal/fail"
)

// A Stack undoes the steps of a command. The zero Stack is empty.
type Stack struct{ undo []func() error }

// Arm adds a function that undoes the next step. It is called before the step,
// because a step that fails can have done a part of its work. So the function must
// succeed if the step was never done.
func (s *Stack) Arm(undo func() error) { s.undo = append(s.undo, undo) }

// OnError undoes all steps, the newest first, if *err is not nil. An error of that
// is added to *err.
func (s *Stack) OnError(err *error) {
	if *err == nil {
		return
	}
	for i := len(s.undo) - 1; i >= 0; i-- {
		if e := s.undo[i](); e != nil {
			*err = Failed(*err, e)
		}
	}
	s.undo = nil
}

// Failed returns the error of a command that failed because of cause and could not
// be undone because of rest. Its kind is that of cause.
func Failed(cause, rest error) error { return &failed{cause, rest} }

type failed struct{ cause, rest error }

func (e *failed) Error() string   { return e.cause.Error() + " (and undoing it: " + e.rest.Error() + ")" }
func (e *failed) Unwrap() []error { return []error{e.cause, e.rest} }

// As keeps the kind of cause, also if only rest has a kind.
func (e *failed) As(target any) bool {
	to, ok := target.(**fail.Error)
	if !ok || errors.As(e.cause, to) {
		return ok
	}
	*to = &fail.Error{Kind: fail.KindOf(e.cause), Msg: e.Error(), Err: e.cause}
	return true
}
