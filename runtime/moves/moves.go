// Package moves decides about moves of VPSs between two hosts: to which host a VPS belongs
// at each instant, and what each host does next. It is pure.
//
// The VPS belongs to the source until that records MoveCommitted. Only then the source
// asks the target to record MoveArrived. Only the host to which it belongs can start it.
// Each host needs no more than its own record to know that it must not start it, so it
// never belongs to both. Between the two records it belongs to the target, which does not
// know that yet: the source asks again until it does.
package moves

import (
	"fmt"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

// Startable is fail.State if this host must not start the VPS name, whose move is m, which
// may be nil.
func Startable(name vps.Name, m *state.Move) error {
	if m == nil {
		return nil
	}
	switch m.Step {
	case state.MoveIncoming:
		return fail.New(fail.State, "%s is an incoming copy: its move from %s is not complete", name, m.Host).WithHint("croft inspect %s", name)
	case state.MoveCommitted:
		return fail.New(fail.State, "%s belongs to %s, and its move is not complete; the same move command completes it", name, m.Host).WithHint("croft inspect %s", name)
	case state.MoveDone:
		return fail.New(fail.State, "%s was moved to %s, where its name is %s", name, m.Host, m.Name).WithHint("croft -H %s list %s", m.Host, m.Name)
	}
	return nil
}

// NameTaken says in words for the source that the target has a VPS of the name already, whose
// move is m, which may be nil. taken is that error.
func NameTaken(taken error, m *state.Move) error {
	if m != nil && m.Step == state.MoveDone {
		return fmt.Errorf("%w there: the stopped source of its move to %s. Remove it there first, or use --name to give this one another name", taken, m.Host)
	}
	return fmt.Errorf("%w there; --name gives it another name", taken)
}

// A There says what the target knows about a move.
type There string

// The answers of a target.
const (
	Unknown  There = "unknown" // it has no such VPS
	Incoming There = "incoming"
	Arrived  There = "arrived"
)

// Know returns the answer of a target whose record of the token is m, which may be nil.
func Know(m *state.Move) There {
	switch {
	case m != nil && m.Step == state.MoveIncoming:
		return Incoming
	case m != nil && m.Step == state.MoveArrived:
		return Arrived
	}
	return Unknown
}

// An Action is what the source does next.
type Action string

// Actions.
const (
	None    Action = "none"
	Begin   Action = "begin"   // a new move; the record of a former one is replaced
	Drop    Action = "drop"    // the target deletes its copy, then Forget
	Forget  Action = "forget"  // the source has no record any more: the VPS is its own
	Release Action = "release" // the target records MoveArrived and starts the VPS, then Confirm
	Confirm Action = "confirm" // the source records MoveDone
)

// Settle returns what ends a move of which nothing runs any more. there is only looked at
// in the steps in which the target can know something.
func Settle(m *state.Move, there There) (Action, error) {
	switch {
	case m == nil || m.Step == state.MoveDone || m.Step == state.MoveArrived:
		return None, nil
	case own(m):
		return takeBack(m, there)
	case m.Step == state.MoveCommitted && there == Incoming:
		return Release, nil
	case m.Step == state.MoveCommitted && there == Arrived:
		return Confirm, nil
	case m.Step == state.MoveCommitted:
		return None, fail.New(fail.State, "%s does not have it any more; with --abort it belongs to this host again", m.Host)
	}
	return None, fail.New(fail.State, "it is an incoming copy, and the move is completed on %s", m.Host)
}

// Abort returns what makes the VPS belong to this host, the source, again.
func Abort(m *state.Move, there There) (Action, error) {
	switch {
	case m == nil || m.Step == state.MoveArrived:
		return None, fail.New(fail.State, "no move of it has begun here")
	case m.Step == state.MoveIncoming:
		return None, fail.New(fail.State, "it is an incoming copy, and the move is aborted on %s", m.Host)
	}
	return takeBack(m, there)
}

// takeBack returns what makes the VPS belong to the source: the target must have no copy,
// or one that is not its own.
func takeBack(m *state.Move, there There) (Action, error) {
	switch there {
	case Unknown:
		return Forget, nil
	case Incoming:
		return Drop, nil
	}
	return None, fail.New(fail.State, "it belongs to %s, where its name is %s", m.Host, m.Name).WithHint("croft -H %s list %s", m.Host, m.Name)
}

// Next returns what a move command with a HOST does first about the record m of a former
// move, which may be nil. there is what that host answers about m.
func Next(m *state.Move, host string, there There) (Action, error) {
	switch {
	case m == nil, m.Step == state.MoveArrived:
		return Begin, nil
	case m.Step == state.MoveIncoming:
		return None, Startable(m.Name, m)
	case m.Host != host && own(m):
		return Begin, nil // the copy on the other host stays an incoming one
	case m.Host != host:
		return None, fail.New(fail.State, "it was moved to %s already", m.Host)
	}
	return Settle(m, there)
}

// own reports whether the VPS belongs to the source, and a move of it has begun.
func own(m *state.Move) bool {
	return m.Step == state.MoveCopying || m.Step == state.MoveSwitching || m.Step == state.MoveAbandoned
}

// Broken returns what the next command records instead of m, of which nothing runs any
// more, and whether it starts the VPS, which the move has stopped. same is true if m, which
// may be nil, stays.
func Broken(m *state.Move) (now state.Move, start, same bool) {
	if m == nil || m.Step != state.MoveCopying && m.Step != state.MoveSwitching {
		return state.Move{}, false, true
	}
	return At(*m, state.MoveAbandoned), m.Step == state.MoveSwitching && m.Runs, false
}

// Source is the first record of a new move.
func Source(token, host string, name vps.Name, runs, removes bool, now time.Time) state.Move {
	return state.Move{Token: token, Step: state.MoveCopying, Host: host, Name: name, Began: now.UTC().Truncate(time.Second), Runs: runs, Removes: removes}
}

// Target is the first record at the target. host is the source, name that of the VPS
// there.
func Target(token, host string, name vps.Name, runs bool, now time.Time) state.Move {
	return state.Move{Token: token, Step: state.MoveIncoming, Host: host, Name: name, Began: now.UTC().Truncate(time.Second), Runs: runs}
}

// At returns m at another step.
func At(m state.Move, step state.MoveStep) state.Move {
	m.Step = step
	return m
}
