package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"

	"croft/internal/fail"
	"croft/runtime/container"
	"croft/runtime/paths"
)

// Pause stops every process of name where it is. A paused one is success.
func (m *Manager) Pause(ctx context.Context, name string) error {
	return m.freeze(ctx, name, m.containers.Freeze)
}

// Resume lets a paused VPS go on. One that is not paused is success.
func (m *Manager) Resume(ctx context.Context, name string) error {
	return m.freeze(ctx, name, m.containers.Thaw)
}

func (m *Manager) freeze(ctx context.Context, name string, how func(string) error) error {
	l, _, err := m.lockAndLoad(ctx, name)
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
	if err := how(name); err != nil {
		if errors.Is(err, container.ErrAbsent) {
			return m.observer().NotRunning(name)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// standStill keeps a running VPS from doing anything until the function that
// it returns is called. One that does not run, or is paused, is left as it is.
// The caller has its lock.
func (m *Manager) freezeWhile(name string) (func() error, error) {
	goOn := func() error { return nil }
	seen, err := m.observe(name)
	if err != nil || !seen.Alive {
		return goOn, err
	}
	frozen, err := m.containers.Frozen(name)
	if err != nil || frozen {
		return goOn, ignoreEnded(name, err)
	}
	if err := os.WriteFile(paths.Frozen(m.store, name), nil, 0o600); err != nil {
		return goOn, fmt.Errorf("let %s stand still: %w", name, err)
	}
	goOn = func() error { return m.thawFrozen(name) }
	if err := m.containers.Freeze(name); err != nil {
		return goOn, errors.Join(ignoreEnded(name, err), goOn())
	}
	return goOn, nil
}

// goOn lets a VPS go on that standStill, in this process or in one that was
// killed, has stopped. It is a no-op for any other. The caller has its lock.
func (m *Manager) thawFrozen(name string) error {
	if !paths.Exists(paths.Frozen(m.store, name)) {
		return nil
	}
	if err := ignoreEnded(name, m.containers.Thaw(name)); err != nil {
		return err
	}
	if err := os.Remove(paths.Frozen(m.store, name)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("note that %s goes on: %w", name, err)
	}
	return nil
}

// goOnIfFree is goOn for commands that take no lock. It is a no-op while another
// command holds it: that is the one that lets the VPS stand still.
func (m *Manager) thawIfFree(ctx context.Context, name string) {
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

// ended forgives that a VPS has just ended of itself: it stands still.
func ignoreEnded(name string, err error) error {
	if err == nil || errors.Is(err, container.ErrAbsent) {
		return nil
	}
	return fail.New(fail.Host, "%s: %w", name, fmt.Errorf("let it stand still: %w", err)).WithHint("croft resume %s", name)
}
