package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/container"
	"croft/runtime/events"
	"croft/runtime/paths"
)

// Pause freezes all processes of name. No-op if name is paused.
func (m *Manager) Pause(ctx context.Context, name vps.Name) error {
	return m.freeze(ctx, name, true)
}

// Resume thaws a paused VPS. No-op if name is not paused.
func (m *Manager) Resume(ctx context.Context, name vps.Name) error {
	return m.freeze(ctx, name, false)
}

func (m *Manager) freeze(ctx context.Context, name vps.Name, freeze bool) error {
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	seen, err := m.observe(name)
	if err != nil {
		return err
	}
	if !seen.Alive {
		return m.observer().NotRunning(name)
	}
	how, what := m.containers.Thaw, events.Resumed
	if freeze {
		how, what = m.containers.Freeze, events.Paused
	}
	frozen, err := m.containers.Frozen(string(name))
	if e := how(string(name)); e != nil {
		if errors.Is(e, container.ErrAbsent) {
			return m.observer().NotRunning(name)
		}
		return fmt.Errorf("%s: %w", name, e)
	}
	if err == nil && frozen != freeze {
		m.event(v, what)
	}
	return nil
}

// freezeWhile freezes a running VPS until the function that it returns is called.
// No-op if the VPS does not run or is paused. The caller holds its lock.
func (m *Manager) freezeWhile(name vps.Name) (func() error, error) {
	goOn := func() error { return nil }
	seen, err := m.observe(name)
	if err != nil || !seen.Alive {
		return goOn, err
	}
	frozen, err := m.containers.Frozen(string(name))
	if err != nil || frozen {
		return goOn, ignoreEnded(name, err)
	}
	if err := os.WriteFile(paths.Frozen(m.store, name), nil, 0o600); err != nil {
		return goOn, fmt.Errorf("cannot freeze %s: %w", name, err)
	}
	goOn = func() error { return m.thawFrozen(name) }
	if err := m.containers.Freeze(string(name)); err != nil {
		return goOn, errors.Join(ignoreEnded(name, err), goOn())
	}
	return goOn, nil
}

// thawFrozen thaws a VPS that freezeWhile froze, in this process or in one that was
// killed. No-op for other VPSs. The caller holds the lock.
func (m *Manager) thawFrozen(name vps.Name) error {
	if !paths.Exists(paths.Frozen(m.store, name)) {
		return nil
	}
	if err := ignoreEnded(name, m.containers.Thaw(string(name))); err != nil {
		return err
	}
	if err := os.Remove(paths.Frozen(m.store, name)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot record that %s is thawed: %w", name, err)
	}
	return nil
}

// thawIfFree is thawFrozen for commands that take no lock. No-op while another
// command holds the lock, because that one may have frozen the VPS.
func (m *Manager) thawIfFree(ctx context.Context, name vps.Name) {
	if !paths.Exists(paths.Frozen(m.store, name)) {
		return
	}
	l, err := m.store.Lock(ctx, name, m.command, 0)
	if err != nil {
		return
	}
	defer l.Unlock()
	if err := m.thawFrozen(name); err != nil {
		m.warn(err.Error())
	}
}

// ignoreEnded is err, or nil if the VPS has just ended.
func ignoreEnded(name vps.Name, err error) error {
	if err == nil || errors.Is(err, container.ErrAbsent) {
		return nil
	}
	return fail.New(fail.Host, "%s: %w", name, fmt.Errorf("cannot freeze or thaw it: %w", err)).WithHint("croft resume %s", name)
}
