package runtime

import (
	"context"
	"errors"

	"croft/internal/state"
	"croft/internal/vps"
)

// The settings of a new VPS can change right after its creation, as the user asks: they can
// need its files, which exist only then. Until all edits are made the VPS is incomplete. It
// names the process that creates it (vps.VPS.Creator), which holds its lock. If that process
// is killed, the VPS is abandoned, and the next command removes it.

// complete makes the edits of the new VPS, whose lock is held, and ends its creation. After
// an error there is no VPS. No-op without edits.
func (m *Manager) complete(ctx context.Context, l *state.Locked, edits []vps.Edit) error {
	if len(edits) == 0 {
		return nil
	}
	v, err := l.VPS()
	if err == nil {
		err = m.changeLocked(ctx, l, v, edits)
	}
	if err == nil {
		v, err = l.VPS()
	}
	if err == nil {
		v.Creator = vps.Runner{}
		err = l.Put(v)
	}
	if err != nil {
		return errors.Join(err, m.destroyHeld(context.WithoutCancel(ctx), l, DestroyOptions{Force: true}))
	}
	if v.Ephemeral {
		return nil
	}
	if err := l.UnlistEphemeral(); err != nil {
		m.warn(err.Error()) // the next command does it
	}
	return nil
}
