package runtime

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/trace"
	"croft/internal/vps"
	"croft/runtime/hooks"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// Destroy removes name and everything that belongs to it. A running VPS is
// fail.State, or with o.Force it is killed. A protected VPS is fail.State, with o.Force
// too; if its settings cannot be read, croft does not know that it is protected. If the
// files of the VPS cannot be moved nothing is changed. When its directory is moved the
// VPS is gone. If the rest cannot be released, the next command that uses its name,
// addresses or ids does that.
//
// With o.Keep the VPS can be restored for that time (Restore), unless it is ephemeral.
// A VPS whose settings cannot be read cannot be kept: that is fail.State.
func (m *Manager) Destroy(ctx context.Context, name vps.Name, o DestroyOptions) error {
	l, err := m.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return m.destroyHeld(ctx, l, o)
}

// destroyHeld is Destroy for a VPS whose lock is held.
func (m *Manager) destroyHeld(ctx context.Context, l *state.Locked, o DestroyOptions) error {
	name := l.Name()
	v, err := m.loadToDestroy(l, o.Force)
	if fail.Is(err, fail.NotFound) {
		if e := m.clearRemains(context.WithoutCancel(ctx), l, o.Force); e != nil {
			return e
		}
		m.emptyTrash(context.WithoutCancel(ctx))
		if o.IfExists {
			return nil
		}
	}
	if err != nil {
		return err
	}
	if err := m.checkKeep(l, v, &o); err != nil {
		return err
	}
	incomplete := v.Creator.PID != 0 // no event has named it
	if v.Protected && !incomplete {
		return fail.New(fail.State, "%s is protected, and a protected VPS is not destroyed, not even with --force", name).
			WithHint("croft set %s --protect no", name)
	}
	if err := m.store.CheckTrash(name); err != nil { // before anything is killed
		return err
	}
	if held, err := m.store.LifeHeld(name); err == nil && (o.Force || !held) && !incomplete { // otherwise it is refused
		if err := m.runHooks(ctx, hooks.PreDestroy, v); err != nil {
			return err
		}
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		if !o.Force {
			return fail.New(fail.State, "%s is running, and a running VPS is destroyed only with --force", name).WithHint("croft list %s", name)
		}
		if err := requestStop(m.store, name); err != nil {
			m.warn(err.Error()) // a VPS that is killed does not reboot
		}
		if life, err = m.killLocked(ctx, l, v); err == nil {
			m.afterStop(ctx, v)
		}
	}
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	ctx = context.WithoutCancel(ctx)
	if o.Keep > 0 {
		if v, err = m.finishRename(ctx, l, v); err != nil {
			return err
		}
	}
	return m.destroyLocked(ctx, l, v, o)
}

// checkKeep is fail.State if v is to be kept and cannot be. It clears o.Keep for a VPS
// that is never kept.
func (m *Manager) checkKeep(l *state.Locked, v vps.VPS, o *DestroyOptions) error {
	if v.Ephemeral || v.Creator.PID != 0 {
		o.Keep = 0
	}
	if o.Keep == 0 {
		return nil
	}
	if _, err := l.VPS(); err != nil {
		return fail.New(fail.State, "its settings cannot be read, so it cannot be kept for a restore; with --keep 0 it is deleted: %w", err)
	}
	return nil
}

// loadToDestroy loads the settings of a VPS. With force, if they cannot be read, v has
// only the name and the interfaces.
func (m *Manager) loadToDestroy(l *state.Locked, force bool) (vps.VPS, error) {
	v, err := l.VPS()
	if err == nil || fail.Is(err, fail.NotFound) || !force {
		return v, err
	}
	m.warn(err.Error())
	return m.byNameAlone(l.Name())
}

// byNameAlone returns a VPS whose settings cannot be read: its name, and its
// interfaces as the tables of the networks have them.
func (m *Manager) byNameAlone(name vps.Name) (vps.VPS, error) {
	v := vps.VPS{Name: name}
	for network, t := range m.networkTables().Mentioning(name) {
		for _, c := range t.Of(name) {
			v.Interfaces = append(v.Interfaces, vps.Interface{Name: c.Interface, Network: network})
		}
	}
	return v, nil
}

// destroyLocked removes a VPS without a monitor. It moves the directory before it
// releases the addresses: a VPS that exists must have its addresses, and claims
// without a VPS are released later anyway. So it writes nothing before the move, and
// works on a full disk unless the VPS is kept.
func (m *Manager) destroyLocked(ctx context.Context, l *state.Locked, v vps.VPS, o DestroyOptions) error {
	defer trace.Span("destroy the VPS")()
	if err := m.killStrays(v, o.Force); err != nil {
		return err
	}
	if err := m.rootfses.Release(m.mountpoint(v.Name)); err != nil {
		return err
	}
	if err := m.releaseSnapshots(v, ""); err != nil {
		return err
	}
	if err := m.sweepUnlessNew(ctx, v); err != nil {
		return err
	}
	if err := m.trash(ctx, l, v, o.Keep); err != nil {
		return err
	}
	m.tellDestroyed(v, o.Keep)
	if err := l.UnlistEphemeral(); err != nil {
		m.warn(err.Error())
	}
	err := errors.Join(m.networkTables().Release(ctx, v), m.releaseFormer(ctx, v), m.store.ForgetRename(v.Name))
	m.names().Update(ctx, tables.NetworksOf(v))
	if err := errors.Join(err, m.store.RemoveRun(v.Name)); err != nil {
		m.warn(fmt.Sprintf("%s is removed, but not everything that it had; the next commands release the rest: %v", v.Name, err))
	}
	m.emptyTrash(ctx)
	return nil
}

// releaseFormer releases what v, which is in the trash, still owned under its former
// name after an interrupted rename. If another command holds the lock of that name,
// it does the same.
func (m *Manager) releaseFormer(ctx context.Context, v vps.VPS) error {
	if v.RenamedFrom == "" || v.RenamedFrom == v.Name || paths.Exists(m.store.VPSDir(v.RenamedFrom)) {
		return nil
	}
	l, err := m.store.Lock(ctx, v.RenamedFrom, m.command, 0)
	if fail.Is(err, fail.Busy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Unlock()
	if paths.Exists(m.store.VPSDir(v.RenamedFrom)) {
		return nil
	}
	return m.clearRemains(ctx, l, false)
}

// sweepUnlessNew is sweep. But a VPS that has not run since the host booted has
// nothing on the host, so it can be destroyed without the permission to change the
// host's network.
func (m *Manager) sweepUnlessNew(ctx context.Context, v vps.VPS) error {
	err := m.sweep(ctx, v)
	if fail.Is(err, fail.Permission) && !paths.Exists(m.store.RunDir(v.Name)) {
		m.warn(err.Error())
		return nil
	}
	return err
}

// trash moves the locked VPS into the trash, from where it can be restored for the time
// keep. If the disk is too full even for that, it empties the trash first.
func (m *Manager) trash(ctx context.Context, l *state.Locked, v vps.VPS, keep time.Duration) error {
	move := l.Trash
	if keep > 0 {
		move = func() error {
			now := time.Now().UTC()
			return l.Keep(now.Add(keep), state.Remains{Destroyed: now, Interfaces: m.networkTables().Held(v)})
		}
	}
	err := move()
	if err == nil || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	if e := m.store.EmptyTrash(ctx); e != nil {
		m.warn(e.Error())
	}
	return move()
}

// clearRemains releases what is left under the locked name, which has no VPS. A killed
// destroy or create leaves addresses. A VPS whose files were removed by hand leaves
// processes too: with force they are killed, otherwise they are fail.State.
func (m *Manager) clearRemains(ctx context.Context, l *state.Locked, force bool) error {
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		if !force {
			return strays(l.Name(), "its monitor runs")
		}
		life, err = m.killLocked(ctx, l, vps.VPS{Name: l.Name()})
	}
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	pids, err := m.containers.Remains(string(l.Name()))
	if err == nil && len(pids) > 0 {
		if !force {
			return strays(l.Name(), fmt.Sprintf("pid %d is in its cgroup", pids[0]))
		}
		m.killHolder(pids)
		err = m.containers.EndRemains(string(l.Name()))
	}
	if err != nil {
		return err
	}
	if other, err := m.store.Renamed(l.Name()); err != nil || other != "" {
		return err // the rest under this name belongs to that VPS
	}
	if err := m.store.ForgetRename(l.Name()); err != nil {
		return err
	}
	v, err := m.byNameAlone(l.Name())
	if err != nil || len(v.Interfaces) == 0 && !paths.Exists(m.store.RunDir(v.Name)) {
		return err
	}
	if err := m.sweepUnlessNew(ctx, v); err != nil {
		return err
	}
	return errors.Join(m.networkTables().Release(ctx, v), m.store.RemoveRun(v.Name))
}

// strays is fail.State for a name without a VPS that still has processes.
func strays(name vps.Name, why string) error {
	return fail.New(fail.State, "the files of %s are gone and it still runs: %s", name, why)
}
