package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/events"
	"croft/runtime/paths"
	"croft/runtime/reinstall"
	"croft/runtime/snapshots"
	"croft/template"
	"croft/template/rootfs"
)

// ReinstallOptions are the options of Reinstall.
type ReinstallOptions struct {
	Template   string     // "": the newest image that has the name of the VPS's template
	Keep       []string   // absolute paths of files that the VPS keeps
	NoSnapshot bool       // its former files are deleted at once
	Edits      []vps.Edit // then change its settings
}

// CheckKept is fail.Usage for a path that Reinstall cannot keep.
func CheckKept(path string) error { return reinstall.CheckPath(path) }

// Reinstall gives the stopped VPS name the files of a template, as Create does, and those of
// o.Keep exactly as they are. Its settings stay, except for the template. The next start is
// its first one. Unless o.NoSnapshot is set there is a snapshot with its former files, whose
// name is returned. It is fail.State for a VPS that runs, is protected or has a checkpoint,
// and fail.NotFound if a path of o.Keep is missing.
//
// However Reinstall ends, the VPS has its former files or the new ones. After an error it
// has the former ones, unless the edits have failed, which the error says.
func (m *Manager) Reinstall(ctx context.Context, name vps.Name, o ReinstallOptions) (snapshot string, err error) {
	keep, err := reinstall.Paths(o.Keep)
	if err != nil {
		return "", err
	}
	if err := m.checkReinstall(ctx, name, keep, o.Edits); err != nil { // before the template is built, which can take minutes
		return "", err
	}
	image, err := m.newestImage(ctx, name, o.Template)
	if err != nil {
		return "", err
	}
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return "", err
	}
	defer l.Unlock()
	life, err := m.reinstallable(l, v)
	if err != nil {
		return "", err
	}
	state.ReleaseLife(life) // nothing starts it without its lock
	whole := context.WithoutCancel(ctx)
	if !o.NoSnapshot {
		snapshot = reinstall.SnapshotName(time.Now())
		if v, err = m.keepFormer(ctx, l, v, snapshot); err != nil {
			return "", err
		}
	}
	if err := m.reinstall(ctx, l, v, image, keep); err != nil {
		if snapshot != "" {
			err = errors.Join(err, m.deleteSnapshots(whole, l, v, snapshot))
		}
		return "", err
	}
	m.event(v, events.Reinstalled, eventTemplate, image.Name+"@"+image.Digest)
	if err := m.afterReinstall(ctx, l, o.Edits); err != nil {
		return snapshot, fmt.Errorf("it has the files of the template, but not everything of the command is done: %w", err)
	}
	return snapshot, nil
}

// checkReinstall checks what can be known before there is a template.
func (m *Manager) checkReinstall(ctx context.Context, name vps.Name, keep []string, edits []vps.Edit) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	life, err := m.reinstallable(l, v)
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	if _, err := vps.Edited(v, edits...); err != nil || len(keep) == 0 {
		return err
	}
	root, err := m.rootfs(v)
	if err != nil {
		return err
	}
	return m.rootfses.CheckKept(root, keep)
}

// reinstallable returns the life lock of v, or fail.State if it cannot be reinstalled.
func (m *Manager) reinstallable(l *state.Locked, v vps.VPS) (*os.File, error) {
	if v.Protected {
		return nil, fail.New(fail.State, "%s is protected, and a protected VPS is not reinstalled", v.Name).WithHint("croft set %s --protect no", v.Name)
	}
	return m.exchangeable(l, v, "be reinstalled")
}

// keepFormer makes the snapshot with the files of v, and returns its settings.
func (m *Manager) keepFormer(ctx context.Context, l *state.Locked, v vps.VPS, name string) (vps.VPS, error) {
	_, err := m.createSnapshot(ctx, l, v, SnapshotOptions{Name: name, Description: "before croft reinstall", Expire: reinstall.Keep}, time.Now().UTC())
	if err != nil {
		return v, err
	}
	return l.VPS()
}

// reinstall gives the stopped VPS v the files of image, and those of its own that it keeps.
func (m *Manager) reinstall(ctx context.Context, l *state.Locked, v vps.VPS, image template.Image, keep []string) error {
	life, err := m.reinstallable(l, v)
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	now := reinstall.Settings(v, withTemplate(v, image).Template)
	confirm := func() error { return m.templates.Confirm(ctx, image) } // from now on it is kept for this VPS
	if v.Disk.Image == "" && v.Storage != vps.StoragePlain {
		return m.reinstallOverlay(ctx, l, v, now, keep, confirm)
	}
	return m.replaceFiles(ctx, l, v, now, confirm, func(was, new rootfs.Rootfs) error {
		if err := m.makeFiles(ctx, new, nil); err != nil || len(keep) == 0 {
			return err
		}
		return m.keepFiles(ctx, was, new, keep)
	})
}

func (m *Manager) keepFiles(ctx context.Context, was, new rootfs.Rootfs, keep []string) error {
	return m.rootfses.Keep(ctx, m.store.RootfsDir(), was, new, keep, m.copying("copying what it keeps"))
}

// reinstallOverlay is reinstall for an overlay that shares its file system with its layers.
// What it keeps is a new layer, and all that it has now becomes another one. The settings
// then exchange one for the other. settleReinstall makes the first one its own files.
func (m *Manager) reinstallOverlay(ctx context.Context, l *state.Locked, v, now vps.VPS, keep []string, confirm func() error) error {
	if len(keep) > 0 {
		layer, err := m.keepInLayer(ctx, v, now, keep)
		if err != nil {
			return err
		}
		defer layer.Close()
		now.Frozen = []vps.Frozen{{ID: layer.ID, IDs: v.IDs}}
	}
	was, former, err := m.freezeFiles(l, v)
	if err != nil {
		return err
	}
	if former != nil {
		defer former.Close()
	}
	if err := m.store.MarkUnused(); err != nil {
		return err
	}
	if err := l.Put(now); err != nil {
		return err
	}
	if err := confirm(); err != nil {
		return errors.Join(err, l.Put(was))
	}
	return nil
}

// keepInLayer returns a new layer with the files of v that it keeps over the template of
// now.
func (m *Manager) keepInLayer(ctx context.Context, v, now vps.VPS, keep []string) (*state.NewLayer, error) {
	root, err := m.rootfs(v)
	if err != nil {
		return nil, err
	}
	layer, err := m.store.BeginLayer()
	if err != nil {
		return nil, err
	}
	place, err := m.rootfsIn(now, rootfs.Rootfs{Dir: filepath.Dir(layer.Tree)})
	if err == nil {
		place.Tree = filepath.Base(layer.Tree)
		err = m.keepFiles(ctx, root, place, keep)
	}
	if err != nil {
		layer.Close()
		return nil, err
	}
	return layer, nil
}

// afterReinstall completes the reinstallation of the locked VPS, changes its settings and
// removes files that nothing uses any more.
func (m *Manager) afterReinstall(ctx context.Context, l *state.Locked, edits []vps.Edit) error {
	v, err := l.VPS()
	if err == nil {
		v, err = m.settleReinstall(context.WithoutCancel(ctx), l, v)
	}
	if err == nil && len(edits) > 0 {
		err = m.changeLocked(ctx, l, v, edits)
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	return err
}

// settleReinstall completes what a reinstallation has begun when it saved the settings of
// the locked VPS v: the files that it keeps become its own, and its next start is the first
// one. It returns its settings after that. No-op for other VPSs. The VPS does not run.
func (m *Manager) settleReinstall(ctx context.Context, l *state.Locked, v vps.VPS) (vps.VPS, error) {
	if !v.Reinstalled {
		return v, nil
	}
	if v.Disk.Image == "" && v.Storage != vps.StoragePlain {
		root, err := m.rootfs(v)
		if err == nil {
			err = m.rootfses.MakeOver(root)
		}
		if err != nil {
			return v, err
		}
	}
	for len(v.Frozen) > 0 {
		release, got, err := m.store.TryLayers(v.Frozen[0].ID)
		if err != nil {
			return v, err
		}
		if !got {
			return v, fail.New(fail.Busy, "a layer of %s is in use", v.Name)
		}
		v, err = m.mergeTwo(ctx, l, v, snapshots.Merge{Lower: v.Frozen[0].ID})
		release()
		if err != nil {
			return v, err
		}
	}
	if err := os.Remove(paths.Configured(m.store, v.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, fmt.Errorf("note that the guest is not configured: %w", err)
	}
	now := v.Clone()
	now.Reinstalled = false
	if err := l.Put(now); err != nil {
		return v, err
	}
	return now, nil
}
