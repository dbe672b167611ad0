package runtime

import (
	"context"
	"fmt"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/moves"
)

// moveOf returns the record of the last move of name; nil without a move, or if it cannot
// be read: settleMove returns that error.
func (m *Manager) moveOf(name vps.Name) *state.Move {
	record, err := m.store.Move(name)
	if err != nil {
		return nil
	}
	return record
}

// settleMove records that a move of the locked VPS has ended, of which nothing runs any
// more. lockAndLoad starts the VPS then, if the move has stopped it.
func (m *Manager) settleMove(l *state.Locked) error {
	record, err := m.store.Move(l.Name())
	if err != nil {
		return err
	}
	now, _, same := moves.Broken(record)
	if same {
		return nil
	}
	m.warn(fmt.Sprintf("%s: its move to %s has ended before it was complete", l.Name(), record.Host))
	return l.PutMove(now)
}

// startAfterMove starts the locked VPS, which a killed move has stopped.
func (m *Manager) startAfterMove(ctx context.Context, l *state.Locked) {
	if runs, err := m.runs(l.Name()); err == nil && runs {
		return
	}
	if err := m.startAsBefore(ctx, l); err != nil {
		m.warn(fmt.Sprintf("%s: it does not start after its move was killed: %v", l.Name(), err))
	}
}

// checkHere is fail.State if the VPS name belongs to another host.
func (m *Manager) checkHere(name vps.Name) error {
	record, err := m.store.Move(name)
	if err != nil {
		return err
	}
	return moves.Startable(name, record)
}

// SettleMove does what is left of a Move that was killed: before it was committed, the VPS
// belongs to this host and starts again if it ran; after that the other host starts it.
// No-op if nothing is left, or while Move runs.
func (m *Manager) SettleMove(ctx context.Context, name vps.Name, dial func(ctx context.Context, host string) (MoveLink, error)) error {
	return m.endMove(ctx, name, dial, func(record *state.Move, there moves.There) (moves.Action, error) {
		return moves.Settle(record, there)
	})
}

// AbortMove makes a VPS that Move was to move belong to this host again, and starts it if
// it ran before. If the other host has it already, or does not answer, that is an error
// and nothing changes.
func (m *Manager) AbortMove(ctx context.Context, name vps.Name, dial func(ctx context.Context, host string) (MoveLink, error)) error {
	record, err := m.store.Move(name)
	if err == nil {
		_, err = moves.Abort(record, moves.Unknown)
	}
	if err != nil {
		return err
	}
	return m.endMove(ctx, name, dial, moves.Abort)
}

// endMove does what decide says about the move of name.
func (m *Manager) endMove(ctx context.Context, name vps.Name, dial func(ctx context.Context, host string) (MoveLink, error), decide func(*state.Move, moves.There) (moves.Action, error)) error {
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	defer m.emptyTrash(context.WithoutCancel(ctx)) // what the killed command has used
	record, err := m.store.Move(name)
	if err != nil || record == nil {
		return err
	}
	switch record.Step {
	case state.MoveArrived, state.MoveIncoming:
		return nil
	case state.MoveDone:
		if action, err := decide(record, moves.Arrived); err == nil && action == moves.None {
			return nil
		}
	}
	g := &moving{Manager: m, l: l, v: v, name: record.Name, token: record.Token, record: *record}
	g.o = MoveOptions{Host: record.Host, Dial: func(ctx context.Context) (MoveLink, error) { return dial(ctx, record.Host) }, Tell: m.warn}
	defer g.close()
	if err := g.dial(ctx); err != nil {
		return err
	}
	there, err := g.know(ctx, *record)
	if err != nil {
		return err
	}
	action, err := decide(record, there)
	if err != nil {
		return err
	}
	if action == moves.Release {
		if err := g.complete(ctx); err != nil {
			return g.backOut(ctx, err)
		}
		return nil
	}
	if err := g.act(ctx, action); err != nil {
		return err
	}
	if (action == moves.Drop || action == moves.Forget) && record.Step != state.MoveAbandoned && record.Runs {
		return m.startAsBefore(context.WithoutCancel(ctx), l)
	}
	return nil
}

// TakeMove makes the VPS name belong to this host, whatever the other host of its move
// says: it is not asked. If it runs there too, both have the same addresses. It does not
// start the VPS.
func (m *Manager) TakeMove(ctx context.Context, name vps.Name) error {
	l, _, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	record, err := m.store.Move(name)
	switch {
	case err != nil:
		return err
	case record == nil:
		return fail.New(fail.State, "no move of it has begun here")
	case record.Step == state.MoveIncoming:
		return l.PutMove(moves.At(*record, state.MoveArrived))
	case record.Step == state.MoveArrived:
		return nil
	}
	return l.ForgetMove()
}
