package runtime

import (
	"context"
	"fmt"
	"path/filepath"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/paths"
	"croft/template/rootfs"
)

// rootfs describes v's root filesystem: its place and its layers.
func (m *Manager) rootfs(v vps.VPS) (rootfs.Rootfs, error) {
	return m.rootfsIn(v, rootfs.Rootfs{Dir: m.store.FSDir(v.Name), Target: paths.Rootfs(m.store, v.Name), Scratch: paths.LowerDir(m.store, v.Name)})
}

// rootfsIn is rootfs at another place.
func (m *Manager) rootfsIn(v vps.VPS, at rootfs.Rootfs) (rootfs.Rootfs, error) {
	layers, err := m.templates.LayerDirs(imageOf(v))
	if err != nil {
		return rootfs.Rootfs{}, err
	}
	at.Layers, at.First, at.Size, at.Tree = layers, v.IDs.First, v.IDs.Size, v.Tree
	at.Volatile = v.Ephemeral // it does not survive a crash of the host
	at.Image = state.DiskImageIn(filepath.Dir(at.Dir), v)
	for _, f := range v.Frozen {
		at.Frozen = append(at.Frozen, rootfs.Frozen{Dir: m.store.FrozenTree(f.ID), First: f.IDs.First, Size: f.IDs.Size})
	}
	return at, nil
}

// settleFrozen completes a freeze that was interrupted: the settings have a new layer,
// and the files are not moved there yet, or there is no upper directory. No-op
// otherwise. The caller holds the lock of v.
func (m *Manager) settleFrozen(v vps.VPS) error {
	if v.Disk.Image != "" { // its layers are copies
		return nil
	}
	if len(v.Frozen) == 0 || paths.Exists(m.store.FrozenTree(v.Frozen[0].ID)) && paths.Exists(m.mountpoint(v.Name).Upper()) {
		return nil
	}
	seen, err := m.observe(v.Name)
	if err != nil || seen.Alive {
		return err // it was settled before it started
	}
	tree := m.store.FrozenTree(v.Frozen[0].ID)
	if !paths.Exists(filepath.Dir(tree)) {
		return fail.New(fail.State, "%s: %s is missing, a layer with files of the VPS", v.Name, filepath.Dir(tree)).WithHint("croft inspect %s", v.Name)
	}
	if err := m.notMounted(v.Name); err != nil {
		return err
	}
	root, err := m.rootfs(v)
	if err != nil {
		return err
	}
	return m.rootfses.Freeze(root, tree)
}

// capture makes the files that the VPS has now frozen layers, and returns them, the
// topmost first. The caller gives them a user before it calls keep, while it holds the
// lock of the VPS. A running VPS goes on, and stands still for a short time, which is
// returned: its files are copied. The own files of a stopped one become a layer, which
// it has from then on; those of a plain tree are copied.
func (m *Manager) capture(ctx context.Context, l *state.Locked, v vps.VPS) (c captured, err error) {
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return m.captureRunning(ctx, v)
	}
	if err != nil {
		return captured{}, err
	}
	defer state.ReleaseLife(life)
	if err := m.notMounted(v.Name); err != nil {
		return captured{}, err
	}
	if v.Storage == vps.StoragePlain {
		return m.captureTree(ctx, v)
	}
	if v.Disk.Image != "" { // its files are in another file system than layers
		return m.captureStopped(ctx, v)
	}
	now, layer, err := m.freezeFiles(l, v)
	return captured{layers: now.Frozen, layer: layer}, err
}

// freezeFiles makes the own files of the stopped VPS v a layer, unless it has none, and
// returns its settings. The caller closes the layer, which may be nil.
func (m *Manager) freezeFiles(l *state.Locked, v vps.VPS) (vps.VPS, *state.NewLayer, error) {
	root, err := m.rootfs(v)
	if err != nil {
		return v, nil, err
	}
	changed, err := m.rootfses.Changed(root)
	if err != nil || !changed {
		return v, nil, err
	}
	if n := len(root.Frozen) + len(root.Layers); n >= rootfs.MaxLayers {
		return v, nil, fail.New(fail.State, "%s has %d layers already, the maximum of overlay", v.Name, n).WithHint("croft snapshot list %s", v.Name)
	}
	layer, err := m.store.BeginLayer()
	if err != nil {
		return v, nil, err
	}
	now := v.Clone()
	now.Frozen = append([]vps.Frozen{{ID: layer.ID, IDs: v.IDs}}, v.Frozen...)
	if err := l.Put(now); err != nil {
		layer.Close()
		return v, nil, err
	}
	if err := m.settleFrozen(now); err != nil {
		if !paths.Exists(layer.Tree) {
			if e := l.Put(v); e != nil {
				err = fmt.Errorf("%w; and its settings are not as before: %w", err, e)
			}
		}
		layer.Close()
		return v, nil, err
	}
	return now, layer, nil
}
