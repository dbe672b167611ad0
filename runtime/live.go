package runtime

import (
	"context"
	"errors"
	"fmt"

	"croft/internal/state"
)

// changeLive changes what name is, and applies that if it runs: live first, so
// that what cannot be applied is not saved, and what cannot be saved is taken
// back. apply makes the VPS whose init is pid what v says, whatever it was.
func (m *Manager) changeLive(ctx context.Context, name string, change func(*state.VPS) error,
	apply func(ctx context.Context, v state.VPS, pid int) error,
) error {
	l, was, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v := was
	if err := change(&v); err != nil {
		return err
	}
	return m.changeLocked(ctx, l, was, v, apply)
}

// changeLocked is changeLive with the VPS's lock held: it makes what was v.
func (m *Manager) changeLocked(ctx context.Context, l *state.Locked, was, v state.VPS,
	apply func(ctx context.Context, v state.VPS, pid int) error,
) error {
	name := v.Name
	pid, err := m.livePID(name)
	if err != nil {
		return err
	}
	back := func(err error) error {
		if pid == 0 {
			return err
		}
		if e := apply(context.WithoutCancel(ctx), was, pid); e != nil {
			return errors.Join(err, fmt.Errorf("take it back: %w", e))
		}
		return err
	}
	if pid != 0 {
		if err := apply(ctx, v, pid); err != nil {
			return back(err)
		}
	}
	if err := l.Put(v); err != nil {
		return back(err)
	}
	// A VPS that rebooted meanwhile, by itself, may have read the old settings.
	if now, err := m.livePID(name); err == nil && now != 0 && now != pid {
		return apply(ctx, v, now)
	}
	return nil
}

// livePID is the init of a VPS that runs, 0 if it does not.
func (m *Manager) livePID(name string) (int, error) {
	run, err := m.store.Run(name)
	if err != nil || run.State != state.Running || !alive(run.Init) {
		return 0, err
	}
	return run.Init.PID, nil
}
