package moves

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"croft/internal/state"
)

// hosts are the records of a move on both hosts, as they are on their disks. exists says
// whether a host has files of the VPS.
type hosts struct {
	source, target *state.Move
	copied         bool // the target has a VPS
	left           int  // how many more changes are made before the kill
}

var errKilled = errors.New("killed")

// put is one change of a disk. The process can be killed before each.
func (h *hosts) put(change func()) error {
	if h.left == 0 {
		return errKilled
	}
	h.left--
	change()
	return nil
}

func (h *hosts) putSource(m *state.Move) error { return h.put(func() { h.source = m }) }

func (h *hosts) there() There {
	if !h.copied {
		return Unknown
	}
	return Know(h.target)
}

// startable returns which hosts can start the VPS.
func (h *hosts) startable() string {
	source := Startable("web", h.source) == nil
	target := h.copied && Startable("web", h.target) == nil
	return fmt.Sprintf("source %v, target %v", source, target)
}

// act does an action.
func (h *hosts) act(what Action) error {
	switch what {
	case Drop:
		if err := h.put(func() { h.copied, h.target = false, nil }); err != nil {
			return err
		}
		return h.putSource(nil)
	case Forget:
		return h.putSource(nil)
	case Release:
		if err := h.put(func() { m := At(*h.target, state.MoveArrived); h.target = &m }); err != nil {
			return err
		}
		return h.act(Confirm)
	case Confirm:
		m := At(*h.source, state.MoveDone)
		return h.putSource(&m)
	}
	return nil
}

// move is a move command.
func (h *hosts) move() error {
	what, err := Next(h.source, "far", h.there())
	if err != nil {
		return err
	}
	if what != Begin {
		return h.act(what)
	}
	m := Source("token", "far", "web", true, false, time.Time{})
	if err := h.putSource(&m); err != nil {
		return err
	}
	m = At(m, state.MoveSwitching)
	if err := h.putSource(&m); err != nil {
		return err
	}
	in := Target("token", "near", "web", true, time.Time{})
	if err := h.put(func() { h.copied, h.target = true, &in }); err != nil {
		return err
	}
	m = At(m, state.MoveCommitted)
	if err := h.putSource(&m); err != nil {
		return err
	}
	return h.act(Release)
}

// abort is a move --abort.
func (h *hosts) abort() error {
	what, err := Abort(h.source, h.there())
	if err != nil {
		return err
	}
	return h.act(what)
}

// settle is what the next command does after a kill.
func (h *hosts) settle() error {
	what, err := Settle(h.source, h.there())
	if err != nil {
		return err
	}
	return h.act(what)
}

const (
	atSource = "source true, target false"
	atTarget = "source false, target true"
	nowhere  = "source false, target false"
)

// Commands are killed at each change of a disk, then others are, then one ends. The VPS
// never belongs to both hosts, and after the command that ends to exactly one.
func TestKilledAtEachChange(t *testing.T) {
	commands := map[string]func(*hosts) error{"move": (*hosts).move, "abort": (*hosts).abort, "settle": (*hosts).settle}
	const changes = 7
	cases := 0
	for first := range changes {
		for second, again := range commands {
			for then := range changes {
				for last, end := range commands {
					h := &hosts{left: first}
					what := fmt.Sprintf("move killed after %d changes, %s after %d, %s", first, second, then, last)
					check := func(got error, kills bool) {
						t.Helper()
						cases++
						switch now := h.startable(); {
						case now == atSource, now == atTarget:
						case now == nowhere && h.source.Step == state.MoveCommitted && (kills || got != nil):
						default:
							t.Errorf("%s: %s (%v)", what, now, got)
						}
					}
					err := h.move()
					check(err, true)
					h.left = then
					check(again(h), true)
					h.left = 100
					err = end(h)
					check(err, false)
					if errors.Is(err, errKilled) {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if cases < 100 {
		t.Errorf("only %d cases", cases)
	}
}

func TestMoveAndBack(t *testing.T) {
	h := &hosts{left: 100}
	if err := h.move(); err != nil || h.startable() != atTarget || h.source.Step != state.MoveDone {
		t.Errorf("%s, %v", h.startable(), err)
	}
	if err := h.abort(); err == nil || h.startable() != atTarget {
		t.Errorf("abort of a move that has ended: %s, %v", h.startable(), err)
	}
	if err := h.move(); err != nil {
		t.Errorf("again: %v", err)
	}
	h.copied, h.target = false, nil // destroyed there
	if err := h.abort(); err != nil || h.startable() != atSource {
		t.Errorf("abort after a destroy there: %s, %v", h.startable(), err)
	}
}

// A release whose start fails gives the VPS back.
func TestNotStartedThere(t *testing.T) {
	h := &hosts{left: 5}
	if err := h.move(); !errors.Is(err, errKilled) || h.startable() != atTarget {
		t.Fatalf("%s, %v", h.startable(), err)
	}
	m := At(*h.target, state.MoveIncoming) // it does not start
	h.target, h.left = &m, 100
	if err := h.abort(); err != nil || h.startable() != atSource {
		t.Errorf("%s, %v", h.startable(), err)
	}
}

func TestBroken(t *testing.T) {
	for step, want := range map[state.MoveStep]string{
		state.MoveCopying: "abandoned, start false", state.MoveSwitching: "abandoned, start true",
		state.MoveAbandoned: "same", state.MoveCommitted: "same", state.MoveDone: "same", state.MoveIncoming: "same", state.MoveArrived: "same",
	} {
		now, start, same := Broken(&state.Move{Step: step, Runs: true})
		got := fmt.Sprintf("%s, start %v", now.Step, start)
		if same {
			got = "same"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	if _, _, same := Broken(nil); !same {
		t.Error("no move is broken")
	}
}

// A committed move whose target has lost the VPS is not completed by itself.
func TestLostByTheTarget(t *testing.T) {
	h := &hosts{left: 4}
	if err := h.move(); !errors.Is(err, errKilled) || h.startable() != nowhere {
		t.Fatalf("%s, %v", h.startable(), err)
	}
	h.copied, h.target, h.left = false, nil, 100
	if err := h.move(); err == nil || h.startable() != nowhere {
		t.Errorf("%s, %v", h.startable(), err)
	}
	if err := h.abort(); err != nil || h.startable() != atSource {
		t.Errorf("%s, %v", h.startable(), err)
	}
}

func TestAnotherHost(t *testing.T) {
	for step, want := range map[state.MoveStep]Action{state.MoveCopying: Begin, state.MoveAbandoned: Begin, state.MoveCommitted: None, state.MoveDone: None, state.MoveArrived: Begin, state.MoveIncoming: None} {
		got, err := Next(&state.Move{Step: step, Host: "far", Name: "web"}, "other", Unknown)
		if got != want || (err != nil) != (want == None) {
			t.Errorf("%s: %s, %v", step, got, err)
		}
	}
}
