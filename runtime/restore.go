package runtime

import (
	"context"
	"fmt"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/undo"
	"croft/internal/vps"
	"croft/runtime/events"
	"croft/runtime/hooks"
	"croft/runtime/paths"
	"croft/runtime/tables"
	"croft/runtime/trash"
)

// Restore makes the VPS that c means, from the trash, the stopped VPS name. It is
// fail.Taken if there is a VPS of that name, or if another owner has an address or a
// port of it meanwhile, see o.Replace; fail.NotFound if it is not in the trash. It has
// its files, ids, addresses, MACs and settings. What it could not get is a warning.
//
// However Restore ends, the VPS is in the trash or is restored.
func (m *Manager) Restore(ctx context.Context, c TrashChoice, name vps.Name, o RestoreOptions) (Info, error) {
	kept, err := m.store.Kept()
	if err != nil {
		return Info{}, err
	}
	found, older, err := c.Find(kept)
	if err != nil {
		return Info{}, err
	}
	if found.Err != nil {
		return Info{}, found.Err
	}
	l, err := m.lock(ctx, name)
	if err != nil {
		return Info{}, err
	}
	defer l.Unlock()
	if err := m.readyFor(ctx, l, found.VPS.IDs); err != nil {
		return Info{}, err
	}
	held, err := m.store.HoldTrashed(found)
	if err != nil {
		return Info{}, err
	}
	defer held.Close()
	if err := m.restore(ctx, l, held, o); err != nil {
		return Info{}, err
	}
	if older > 0 {
		m.warn(fmt.Sprintf("%s: the newest of %d in the trash is restored, id %s (croft trash list %[1]s)", c.Name, older+1, found.ID))
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	info, err := m.Inspect(ctx, name)
	held.Close()
	l.Unlock() // so that a hook can change and start the VPS
	m.afterwards(ctx, hooks.PostRestore, vps.VPS{Name: name, UUID: found.VPS.UUID}, "CROFT_FROM="+string(found.VPS.Name))
	return info, err
}

// readyFor checks that the locked name can be given to a VPS with these ids, and
// releases what a VPS that had the name before has left.
func (m *Manager) readyFor(ctx context.Context, l *state.Locked, ids vps.IDRange) error {
	if _, _, err := m.present(ctx, l.Name(), false); err != nil {
		return err
	}
	if err := m.store.Apart(ctx, l.Name(), ids); err != nil {
		return err
	}
	if err := m.finishRenameOf(ctx, l.Name()); err != nil {
		return err
	}
	return m.clearRemains(ctx, l, false)
}

// restore gives the VPS its addresses, and then its directory and its ports at one
// instant. Claims of a name without a VPS are released by later commands, so a restore
// that is killed leaves the VPS in the trash.
func (m *Manager) restore(ctx context.Context, l *state.Locked, held *state.HeldTrash, o RestoreOptions) (err error) {
	var steps undo.Stack
	defer steps.OnError(&err)
	v := trash.Restored(held.VPS, l.Name())
	steps.Arm(func() error { return m.networkTables().Release(context.WithoutCancel(ctx), v) })
	lost, err := m.networkTables().Reclaim(ctx, v, held.Remains.Interfaces, o.Replace)
	if err != nil {
		return takenMeanwhile(err)
	}
	var lostPorts []vps.Publication
	if err := ctx.Err(); err != nil {
		return err
	}
	err = l.Restore(held, func(others []vps.VPS) (vps.VPS, error) {
		free, without, taken := trash.Ports(v.Published, others)
		if taken != nil && !o.Replace {
			return v, takenMeanwhile(taken)
		}
		v.Published, lostPorts = free, without
		return v, nil
	})
	if err != nil && paths.Exists(m.store.VPSDir(v.Name)) {
		m.warn(err.Error()) // it is restored, though a power cut may undo that
		err = nil
	}
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		m.warn(fmt.Sprintf("%s: not restored, because they are not free any more: addresses %v", v.Name, lost))
	}
	if len(lostPorts) > 0 {
		m.warn(fmt.Sprintf("%s: not restored, because another VPS has them: published ports %v", v.Name, lostPorts))
	}
	m.event(v, events.Restored, eventFrom, string(held.VPS.Name))
	m.names().Update(ctx, tables.NetworksOf(v))
	return nil
}

// takenMeanwhile adds to an error about an address or a port how to restore without it.
func takenMeanwhile(err error) error {
	if !fail.Is(err, fail.Taken) {
		return err
	}
	return &fail.Error{Kind: fail.Taken, Msg: err.Error() + "; with --replace-taken it is restored without what others have now", Err: err}
}
