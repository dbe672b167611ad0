package runtime

import (
	"context"
	"errors"
	"fmt"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/undo"
	"croft/internal/vps"
	"croft/runtime/events"
	"croft/runtime/tables"
)

// Rename gives the VPS old the name new. It is fail.State if the VPS runs, and
// fail.Taken if there is a VPS new. No-op if both names are the same. The VPS keeps
// its addresses, MAC addresses, logs and published ports. Its hostname is changed
// too if it is the old name. Other VPSs then know it by the new name.
//
// However Rename ends, the VPS has one of the names. The next command that changes
// the VPS completes an interrupted rename.
func (m *Manager) Rename(ctx context.Context, old, new vps.Name) error {
	if old == new {
		l, _, err := m.lockAndLoadAsIs(ctx, old)
		if err == nil {
			l.Unlock()
		}
		return err
	}
	l, to, err := m.lockBoth(ctx, old, new)
	if err != nil {
		return err
	}
	defer l.Unlock()
	defer to.Unlock()
	v, err := m.loadLocked(ctx, l)
	if err != nil {
		return err
	}
	if _, _, err := m.present(ctx, new, false); err != nil {
		return err
	}
	if err := m.store.Apart(ctx, new, vps.IDRange{}); err != nil {
		return err
	}
	if err := m.finishRenameOf(ctx, new); err != nil {
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return fail.New(fail.State, "%s is running, and only a stopped VPS can be renamed", old).WithHint("croft list %s", old)
	}
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	if err := m.notMounted(old); err != nil {
		return err
	}
	if err := m.sweep(ctx, v); err != nil { // what a killed monitor left has the old name
		return err
	}
	if err := m.moveFiles(ctx, l, to, v); err != nil {
		return err
	}
	if v, err = to.VPS(); err == nil {
		_, err = m.finishRename(context.WithoutCancel(ctx), to, v)
	}
	if err != nil {
		return fmt.Errorf("%s is called %s now, though not everywhere yet: %w", old, new, err)
	}
	return nil
}

// lockBoth takes the locks of two names, in the order of the names. So two renames
// in opposite directions do not wait for each other forever.
func (m *Manager) lockBoth(ctx context.Context, a, b vps.Name) (la, lb *state.Locked, err error) {
	if a > b {
		lb, la, err = m.lockBoth(ctx, b, a)
		return la, lb, err
	}
	if la, err = m.lock(ctx, a); err != nil {
		return nil, nil, err
	}
	if lb, err = m.lock(ctx, b); err != nil {
		la.Unlock()
		return nil, nil, err
	}
	return la, lb, nil
}

// moveFiles renames the directory of v, which l locks, to the name that to locks.
// First it records the old name in the settings: the tables still have that.
func (m *Manager) moveFiles(ctx context.Context, l, to *state.Locked, v vps.VPS) error {
	v.RenamedFrom = l.Name()
	if err := l.Put(v); err != nil {
		return err
	}
	err := ctx.Err()
	if err == nil {
		err = l.Rename(to)
	}
	if err == nil {
		return nil
	}
	v.RenamedFrom = ""
	if e := errors.Join(l.Put(v), m.store.ForgetRename(l.Name())); e != nil {
		return undo.Failed(err, e)
	}
	return err
}

// finishRename completes a rename of the VPS that l locks, whose settings are v, and
// returns its settings after that. No-op if the VPS was not renamed.
func (m *Manager) finishRename(ctx context.Context, l *state.Locked, v vps.VPS) (vps.VPS, error) {
	old := v.RenamedFrom
	if old == "" || old == v.Name {
		return v, nil
	}
	for _, name := range tables.NetworksOf(v) {
		if err := m.networkTables().RenameOwner(ctx, name, old, v.Name); err != nil {
			return v, err
		}
	}
	if err := m.store.MoveRun(old, v.Name); err != nil {
		return v, err
	}
	if err := (vps.FinishRename{}).Apply(&v); err != nil {
		return v, err
	}
	if err := l.Put(v); err != nil {
		return v, err
	}
	m.event(v, events.Renamed, eventFrom, string(old))
	if err := m.store.ForgetRename(old); err != nil {
		return v, err
	}
	m.names().Update(ctx, tables.NetworksOf(v))
	return v, nil
}

// finishRenameOf completes a rename of a VPS away from name, so that the VPS owns
// nothing under that name any more. The caller holds the lock of name.
func (m *Manager) finishRenameOf(ctx context.Context, name vps.Name) error {
	other, err := m.store.Renamed(name)
	if err != nil {
		return err
	}
	if other == "" {
		return m.store.ForgetRename(name) // a killed rename or destroy can have left a note
	}
	l, _, err := m.lockAndLoadAsIs(ctx, other)
	if err != nil {
		return err
	}
	l.Unlock()
	return nil
}
