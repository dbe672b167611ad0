package runtime

import (
	"context"
	"errors"
	"fmt"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/undo"
	"croft/internal/vps"
	"croft/runtime/tables"
)

// Rename gives the VPS old, which must not run (fail.State), the name new. It
// keeps its addresses and MACs, its logs, and what it has published; others
// know it by the new name from then on. A hostname that is the old name becomes
// the new one, any other stays. A taken name is fail.Taken, its own is success.
//
// The VPS has one of both names, however Rename ends, and is whole: what was
// cut short the next command that changes it goes on with.
func (m *Manager) Rename(ctx context.Context, old, new string) error {
	if _, err := vps.ParseName(new); err != nil {
		return err
	}
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
	defer life.Close()
	if err := m.notMounted(old); err != nil {
		return err
	}
	if err := m.sweep(ctx, v); err != nil { // by its old name, what a killed monitor left
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

// lockBoth takes the locks of two names, always the lesser one first: who
// renames in the other direction meanwhile waits, and does not wait in vain.
func (m *Manager) lockBoth(ctx context.Context, a, b string) (la, lb *state.Locked, err error) {
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

// moveFiles gives the directory of v, which l locks, the name that to locks. It
// says in there first which name the tables know the VPS by.
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

// finishRename has everything know the VPS that l locks, whose settings are v,
// by the name of its directory, and returns what it says of itself then. One
// that was not renamed stays as it is; done twice it is harmless.
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
	if err := m.store.ForgetRename(old); err != nil {
		return v, err
	}
	m.names().Update(ctx, tables.NetworksOf(v))
	return v, nil
}

// vacate sees to it that no VPS which was once name still owns anything by that
// name, whose lock the caller holds.
func (m *Manager) finishRenameOf(ctx context.Context, name string) error {
	other, err := m.store.Renamed(name)
	if err != nil {
		return err
	}
	if other == "" {
		return m.store.ForgetRename(name) // one that was killed has left a note
	}
	l, _, err := m.lockAndLoadAsIs(ctx, other)
	if err != nil {
		return err
	}
	l.Unlock()
	return nil
}
