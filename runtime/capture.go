package runtime

import (
	"context"
	"fmt"
	"time"

	"croft/internal/state"
	"croft/internal/vps"
)

// captured are the files of a VPS at one moment, as frozen layers.
type captured struct {
	layers  []vps.Frozen    // the topmost first
	layer   *state.NewLayer // the new one among them; nil: there was nothing new
	running bool
	pause   time.Duration // how long the VPS stood still
}

// keep ends the capture: the new layer stays if it has a user now.
func (c captured) keep() {
	if c.layer != nil {
		c.layer.Close()
	}
}

// captureRunning copies the own files of the running VPS v into a new layer. It copies
// twice while the VPS goes on, then what has changed since while the VPS stands still.
func (m *Manager) captureRunning(ctx context.Context, v vps.VPS) (c captured, err error) {
	root, err := m.rootfs(v)
	if err != nil {
		return captured{}, err
	}
	layer, err := m.store.BeginLayer()
	if err != nil {
		return captured{}, err
	}
	defer func() {
		if err != nil {
			layer.Close()
		}
	}()
	copied, err := m.rootfses.CopyLive(root, layer.Tree)
	if err != nil {
		return captured{}, err
	}
	defer copied.Close()
	for range 2 {
		if _, err := copied.Pass(ctx); err != nil {
			return captured{}, fmt.Errorf("copy its files: %w", err)
		}
	}
	pause, err := m.passWhilePaused(ctx, v.Name, copied)
	if err != nil {
		return captured{}, err
	}
	if err := copied.Finish(); err != nil {
		return captured{}, err
	}
	layers := append([]vps.Frozen{{ID: layer.ID, IDs: v.IDs}}, v.Frozen...)
	return captured{layers: layers, layer: layer, running: true, pause: pause}, nil
}

// passWhilePaused copies what has changed while the VPS stands still, and returns how
// long that was.
func (m *Manager) passWhilePaused(ctx context.Context, name vps.Name, copied liveCopy) (_ time.Duration, err error) {
	began := time.Now()
	thaw, err := m.freezeWhile(name)
	if err != nil {
		return 0, err
	}
	_, err = copied.LastPass(ctx)
	if err != nil {
		err = fmt.Errorf("copy its files: %w", err)
	}
	if e := thaw(); err == nil {
		err = e
	} else if e != nil {
		m.warn(e.Error())
	}
	return time.Since(began), err
}
