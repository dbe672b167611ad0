package runtime

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/look"
	"croft/runtime/observe"
	"croft/template/rootfs"
)

// captured are the files of a VPS at one moment, as frozen layers.
type captured struct {
	layers  []vps.Frozen    // the topmost first
	layer   *state.NewLayer // the new one among them; nil: there was nothing new
	copied  bool            // it has copies of files for this capture alone: the VPS does not have it
	running bool
	pause   time.Duration // how long the VPS stood still
}

// keep ends the capture: the new layer stays if it has a user now.
func (c captured) keep() {
	if c.layer != nil {
		c.layer.Close()
	}
}

// captureRunning copies the own files of the running VPS v into a new layer.
func (m *Manager) captureRunning(ctx context.Context, v vps.VPS) (c captured, err error) {
	layer, err := m.store.BeginLayer()
	if err != nil {
		return captured{}, err
	}
	pause, err := m.copyRunning(ctx, v, placeOf(layer))
	if err != nil {
		layer.Close()
		return captured{}, err
	}
	return captured{layers: layersWith(v, layer.ID), layer: layer, copied: true, running: true, pause: pause}, nil
}

// captureTree copies the plain tree of the stopped VPS v into a new layer.
func (m *Manager) captureTree(ctx context.Context, v vps.VPS) (captured, error) {
	root, err := m.rootfs(v)
	if err != nil {
		return captured{}, err
	}
	layer, err := m.store.BeginLayer()
	if err != nil {
		return captured{}, err
	}
	if err := m.rootfses.CopyTree(ctx, root.Own(), placeOf(layer), m.copying("copying its files")); err != nil {
		layer.Close()
		return captured{}, err
	}
	return captured{layers: layersWith(v, layer.ID), layer: layer, copied: true}, nil
}

// placeOf is the place of the files of a new layer.
func placeOf(layer *state.NewLayer) rootfs.Rootfs {
	return rootfs.Rootfs{Dir: filepath.Dir(layer.Tree), Tree: filepath.Base(layer.Tree)}
}

// layersWith returns the layers of v with the new one above them, which has copies of its
// own files. Of a plain tree that is the only one.
func layersWith(v vps.VPS, id string) []vps.Frozen {
	if v.Storage == vps.StoragePlain {
		return []vps.Frozen{{ID: id, IDs: vps.IDRange{Size: v.IDs.Size}}}
	}
	return append([]vps.Frozen{{ID: id, IDs: v.IDs}}, v.Frozen...)
}

// copyRunning copies the own files of the running VPS v to the place to, which has none. It copies
// twice while the VPS goes on, then what has changed since while the VPS stands still. It
// returns how long that was.
func (m *Manager) copyRunning(ctx context.Context, v vps.VPS, to rootfs.Rootfs) (time.Duration, error) {
	root, err := m.rootfs(v)
	if err != nil {
		return 0, err
	}
	copied, err := m.rootfses.CopyLive(root, to)
	if err != nil {
		return 0, err
	}
	defer copied.Close()
	for range 2 {
		if _, err := copied.Pass(ctx); err != nil {
			return 0, fmt.Errorf("copy its files: %w", err)
		}
	}
	pause, err := m.passWhilePaused(ctx, v.Name, copied)
	if err != nil {
		return 0, err
	}
	return pause, copied.Finish()
}

// startPatience is how long a capture waits for a VPS that starts.
const startPatience = 30 * time.Second

// captureTries is how often the last pass is made if the VPS starts or ends during it.
const captureTries = 5

// captureStopped copies the own files of the stopped VPS v into a new layer.
func (m *Manager) captureStopped(ctx context.Context, v vps.VPS) (c captured, err error) {
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
	copied, err := m.rootfses.CopyLive(root, placeOf(layer))
	if err != nil {
		return captured{}, err
	}
	defer copied.Close()
	if _, err := copied.LastPass(ctx); err != nil {
		return captured{}, fmt.Errorf("copy its files: %w", err)
	}
	if err := copied.Finish(); err != nil {
		return captured{}, err
	}
	return captured{layers: append([]vps.Frozen{{ID: layer.ID, IDs: v.IDs}}, v.Frozen...), layer: layer, copied: true}, nil
}

// passWhilePaused copies what has changed while the VPS stands still, and returns how
// long that was. If its monitor starts the VPS during the pass, or its init ends, the
// pass is repeated.
func (m *Manager) passWhilePaused(ctx context.Context, name vps.Name, copied liveCopy) (time.Duration, error) {
	for range captureTries {
		before, err := m.settled(ctx, name)
		if err != nil {
			return 0, err
		}
		pause, err := m.lastPass(ctx, name, copied)
		if err != nil {
			return 0, err
		}
		after, err := m.observe(name)
		if err != nil {
			return 0, err
		}
		if after.Same(before) {
			return pause, nil
		}
	}
	return 0, fail.New(fail.Busy, "%s starts and ends again and again, so its files cannot be copied", name).WithHint("croft logs %s", name)
}

// settled looks at the VPS until no monitor is about to start it.
func (m *Manager) settled(ctx context.Context, name vps.Name) (observe.Observation, error) {
	for left := startPatience; ; left -= look.Interval {
		seen, err := m.observe(name)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || seen.Alive || !seen.Monitored || seen.Run.State != state.Starting {
			return seen, err
		}
		if left <= 0 {
			return seen, m.observer().NotRunning(name)
		}
		m.sleep(look.Interval)
	}
}

// lastPass is one last pass.
func (m *Manager) lastPass(ctx context.Context, name vps.Name, copied liveCopy) (_ time.Duration, err error) {
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
