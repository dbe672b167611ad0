package runtime

import (
	"context"
	"fmt"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/trace"
	"croft/internal/vps"
	"croft/runtime/endreason"
	"croft/runtime/hooks"
	"croft/runtime/look"
	"croft/runtime/moves"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/restarts"
)

// lock takes the lock of name for the command of this Manager.
func (m *Manager) lock(ctx context.Context, name vps.Name) (*state.Locked, error) {
	m.destroyAbandoned(ctx)
	return m.store.Lock(ctx, name, m.command, m.lockWait)
}

// lockAndLoad takes the lock of name and loads its settings. First it repairs what
// a killed process has left: it finishes a rename, thaws a frozen VPS, and gives a
// running VPS without a monitor a new one. A VPS that ended while it had no
// monitor and should run is started again. A repair that fails is a warning.
func (m *Manager) lockAndLoad(ctx context.Context, name vps.Name) (*state.Locked, vps.VPS, error) {
	defer trace.Span("lock and settle")()
	l, err := m.lock(ctx, name)
	if err != nil {
		return nil, vps.VPS{}, err
	}
	_, start, _ := moves.Broken(m.moveOf(name))
	v, err := m.loadLocked(ctx, l)
	if err != nil {
		l.Unlock()
		return nil, vps.VPS{}, err
	}
	if err := m.startAfterUnseenEnd(ctx, l, v); err != nil {
		m.warn(err.Error())
	}
	if start {
		m.startAfterMove(ctx, l)
	}
	return l, v, nil
}

// lockAndLoadAsIs is lockAndLoad for commands that start or stop the VPS: a VPS
// that ended while it had no monitor stays stopped.
func (m *Manager) lockAndLoadAsIs(ctx context.Context, name vps.Name) (*state.Locked, vps.VPS, error) {
	l, err := m.lock(ctx, name)
	if err != nil {
		return nil, vps.VPS{}, err
	}
	v, err := m.loadLocked(ctx, l)
	if err != nil {
		l.Unlock()
		return nil, vps.VPS{}, err
	}
	return l, v, nil
}

// loadLocked is lockAndLoadAsIs for a lock that is held.
func (m *Manager) loadLocked(ctx context.Context, l *state.Locked) (vps.VPS, error) {
	v, err := l.VPS()
	if err == nil {
		err = look.CheckRecord(v)
	}
	if err == nil {
		v, err = m.finishRename(ctx, l, v)
	}
	if err == nil {
		err = m.settleFrozen(v)
	}
	if err == nil {
		v, err = m.settleReinstall(ctx, l, v)
	}
	if err == nil {
		v, err = m.settleRestored(l, v)
	}
	if err == nil {
		err = m.settleMove(l)
	}
	if err == nil {
		m.settleStorage(ctx, v)
		m.settleDisk(l, v)
		// A VPS without a monitor still runs, and can be stopped and changed.
		if e := m.replaceMonitor(ctx, l); e != nil {
			m.warn(e.Error())
		}
		if e := m.thawFrozen(l.Name()); e != nil {
			m.warn(e.Error())
		}
		if e := m.dropOldCheckpoint(l.Name()); e != nil {
			m.warn(e.Error())
		}
		var e error
		if v, e = m.finishDetach(ctx, l, v); e != nil {
			m.warn(fmt.Sprintf("%s: cannot remove an interface that a change has left: %v", v.Name, e))
		}
	}
	return v, err
}

// replaceMonitor gives a running VPS without a monitor a new one. No-op for other
// VPSs.
func (m *Manager) replaceMonitor(ctx context.Context, l *state.Locked) error {
	seen, err := m.observe(l.Name())
	if err != nil || !seen.Orphaned() {
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return nil // it has one
	}
	if err != nil {
		return err
	}
	defer life.Close()
	if !observe.Alive(seen.Run.Init) {
		return nil
	}
	if err := m.monitors.Spawn(ctx, l.Name(), life, spawnAdopt); err != nil {
		return fmt.Errorf("give %s a new monitor: %w", l.Name(), err)
	}
	return nil
}

// startAfterUnseenEnd starts a VPS that ended while it had no monitor, if it should
// run: it may have rebooted, and only a monitor would have seen that. It also starts
// one whose monitor was killed before it restarted it. No-op for other VPSs.
func (m *Manager) startAfterUnseenEnd(ctx context.Context, l *state.Locked, v vps.VPS) error {
	seen, err := m.observe(l.Name())
	if err != nil || !seen.Unhandled() {
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return nil // its monitor is removing what it left
	}
	if err != nil {
		return err
	}
	defer life.Close()
	// Its monitor may have written the end, and ended itself, in between.
	if seen, err = m.observe(l.Name()); err != nil || !seen.Unhandled() {
		return err
	}
	run := seen.Run
	if seen.EndedUnseen() {
		run.State, run.End = state.Ended, new(endreason.Unseen())
		run.End.Time = time.Now().UTC()
		m.tellStopped(v, *run.End, paths.Exists(paths.StopRequest(m.store, l.Name())))
	}
	run.Restarts.At = nil
	run.Init, run.Monitor = state.Process{}, state.Process{}
	if err := m.store.PutRun(l.Name(), run); err != nil {
		return err
	}
	should, err := m.store.ShouldRun(l.Name())
	if err != nil || !should || paths.Exists(paths.StopRequest(m.store, l.Name())) {
		return err
	}
	if !m.mayHaveRebooted(v, *run.End) && !restarts.Wants(v.Restart, *run.End) {
		return err
	}
	m.warn(fmt.Sprintf("%s: it ended while it had no monitor; it is started again", l.Name()))
	if err := m.runHooks(ctx, hooks.PreStart, v); err != nil {
		return err
	}
	if err := m.monitors.Spawn(ctx, l.Name(), life, spawnBoot); err != nil {
		return err
	}
	m.afterwards(ctx, hooks.PostStart, v)
	return nil
}

// recoverIfFree does the repairs of lockAndLoad for commands that take no lock. No-op
// if another command holds the lock, because that one has done them. An error is a
// warning.
func (m *Manager) recoverIfFree(ctx context.Context, name vps.Name) {
	m.thawIfFree(ctx, name)
	seen, err := m.observe(name)
	if err != nil || seen.Monitored || seen.Run.State != state.Running && !seen.Unhandled() {
		return
	}
	m.destroyAbandoned(ctx)
	l, err := m.store.Lock(ctx, name, m.command, 0)
	if err != nil {
		return
	}
	defer l.Unlock()
	v, err := l.VPS()
	if err != nil {
		return
	}
	if err = m.replaceMonitor(ctx, l); err == nil {
		err = m.startAfterUnseenEnd(ctx, l, v)
	}
	if err != nil {
		m.warn(err.Error())
	}
}
