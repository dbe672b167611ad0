package runtime

import (
	"context"
	"errors"
	"fmt"

	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
)

// changeLive changes what name is, and applies that if it runs: live first, so
// that what cannot be applied is not saved, and what cannot be saved is taken
// back. A VPS that ends meanwhile is one that does not run. apply makes the VPS whose init is init what v says, whatever it was.
func (m *Manager) changeLive(ctx context.Context, name string, change func(*vps.VPS) error,
	apply func(ctx context.Context, v vps.VPS, init inside.Identity) error,
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
func (m *Manager) changeLocked(ctx context.Context, l *state.Locked, was, v vps.VPS,
	apply func(ctx context.Context, v vps.VPS, init inside.Identity) error,
) error {
	name := v.Name
	init, err := m.liveInit(name)
	if err != nil {
		return err
	}
	back := func(err error) error {
		if init.PID == 0 {
			return err
		}
		if e := apply(context.WithoutCancel(ctx), was, init); e != nil {
			return errors.Join(err, fmt.Errorf("take it back: %w", e))
		}
		return err
	}
	if init.PID != 0 {
		err := apply(ctx, v, init)
		if errors.Is(err, inside.ErrGone) { // it has ended meanwhile, so that is for its next start
			init, err = inside.Identity{}, nil
		}
		if err != nil {
			return back(err)
		}
	}
	if err := l.Put(v); err != nil {
		return back(err)
	}
	// A VPS that rebooted meanwhile, by itself, may have read the old settings.
	if now, err := m.liveInit(name); err == nil && now.PID != 0 && now != init {
		return apply(ctx, v, now)
	}
	return nil
}

// liveInit is the init of a VPS that runs, the zero Identity if it does not.
func (m *Manager) liveInit(name string) (inside.Identity, error) {
	run, err := m.store.Run(name)
	if err != nil || run.State != state.Running || !alive(run.Init) {
		return inside.Identity{}, err
	}
	return inside.Identity(run.Init), nil
}
