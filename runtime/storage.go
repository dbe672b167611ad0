package runtime

import (
	"context"
	"errors"
	"fmt"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/events"
	"croft/runtime/snapshots"
	"croft/template/rootfs"
)

// The files of a plain tree, and those in an image, are replaced in three steps: the new
// ones are copied to a directory or an image that the settings do not name, the settings
// name it, and what they do not name any more is removed. So a VPS has its former files or
// the new ones at each instant.

// makeFiles makes the files of a new VPS: those of its template. Of an overlay it only
// makes the directories for what the VPS writes. A plain tree is a copy, with progress.
// fill, if it is not nil, makes other files.
func (m *Manager) makeFiles(ctx context.Context, r rootfs.Rootfs, fill func(rootfs.Rootfs) error) error {
	switch {
	case fill != nil:
		return fill(r)
	case !r.Plain():
		return m.rootfses.MakeOver(r)
	}
	return m.rootfses.Fill(ctx, m.store.RootfsDir(), r.Below(), r, m.copying("copying the template"))
}

// copying returns a function that shows how many bytes a copy has made.
func (m *Manager) copying(step string) func(done int64) {
	if m.progress == nil {
		return nil
	}
	return func(done int64) { m.progress(Update{Step: step, Done: done}) }
}

// settleStorage removes files of the locked VPS v that its settings do not name: a command
// that was to replace files was killed. A failure is a warning.
func (m *Manager) settleStorage(ctx context.Context, v vps.VPS) {
	root := m.mountpoint(v.Name)
	root.Tree = v.Tree
	if !root.HasOthers() {
		return
	}
	if err := m.rootfses.RemoveOthers(ctx, root); err != nil {
		m.warn(fmt.Sprintf("%s: files that it does not use are not removed: %v", v.Name, err))
	}
}

// Convert gives the stopped VPS name the other kind of root filesystem, with the same
// files. No-op if it has that kind. A running VPS is fail.State. After an error the VPS is
// as before.
func (m *Manager) Convert(ctx context.Context, name vps.Name, to vps.Storage) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if v.Storage == to {
		return nil
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return fail.New(fail.State, "%s is running, and only a stopped VPS can be converted", name).WithHint("croft list %s", name)
	}
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	if err := m.notMounted(name); err != nil {
		return err
	}
	now := v.Clone()
	now.Storage, now.Tree, now.Frozen = to, "", nil
	if to == vps.StoragePlain {
		now.Tree = v.OtherTree()
	}
	return m.replaceFiles(ctx, l, v, now, nil, func(was, new rootfs.Rootfs) error {
		if new.Plain() {
			return m.rootfses.ToPlain(ctx, m.store.RootfsDir(), was, new, m.copying("copying its files"))
		}
		if err := m.rootfses.MakeOver(new); err != nil {
			return err
		}
		return m.rootfses.ToOverlay(ctx, m.store.RootfsDir(), was, new, m.copying("copying its files"))
	})
}

// restoreFiles restores a snapshot to other directories than those of the VPS v.
func (m *Manager) restoreFiles(ctx context.Context, l *state.Locked, v vps.VPS, n state.Snapshot) error {
	now := snapshots.Restored(v, n)
	err := m.replaceFiles(ctx, l, v, now, nil, func(_, new rootfs.Rootfs) error {
		if new.Plain() {
			return m.copySnapshot(ctx, n, new)
		}
		return m.rootfses.MakeOver(new)
	})
	if err != nil {
		return err
	}
	m.event(v, events.SnapshotRestored, eventSnapshot, n.Name)
	now, err = l.VPS() // with the place of its files
	if err == nil {
		_, err = m.settleRestored(l, now)
	}
	return err
}

// replaceFiles gives the stopped VPS, whose settings are was, the settings now. fill makes
// their files, which have another place than the former ones: a new image if the VPS has
// one. If confirm, which may be nil, is an error, the VPS has its former settings again.
func (m *Manager) replaceFiles(ctx context.Context, l *state.Locked, was, now vps.VPS, confirm func() error, fill func(was, new rootfs.Rootfs) error) (err error) {
	kept := was
	defer func() { // of the two, what is not used
		m.settleStorage(context.WithoutCancel(ctx), kept)
		m.settleDisk(l, kept)
		m.emptyTrash(context.WithoutCancel(ctx))
	}()
	before, err := m.rootfs(was)
	if err != nil {
		return err
	}
	after, err := m.newPlace(ctx, &now)
	if err != nil {
		return err
	}
	if err := fill(before, after); err != nil {
		return whyNotCopied(now, err)
	}
	if err := m.checkFits(m.store.VPSDir(now.Name), now); err != nil {
		return err
	}
	if err := m.store.MarkUnused(); err != nil {
		return err
	}
	if err := l.Put(now); err != nil {
		return err
	}
	if confirm != nil {
		if err := confirm(); err != nil {
			return errors.Join(err, l.Put(was))
		}
	}
	kept = now
	return nil
}

// newPlace is where new files of the VPS now come together. With an image that is a new
// one, which now gets.
func (m *Manager) newPlace(ctx context.Context, now *vps.VPS) (rootfs.Rootfs, error) {
	if now.Disk.Image == "" {
		return m.rootfs(*now)
	}
	if err := m.createDisk(ctx, m.store.VPSDir(now.Name), now); err != nil {
		return rootfs.Rootfs{}, err
	}
	return m.rootfsIn(*now, rootfs.Rootfs{Dir: m.store.NewFSDir(now.Name)})
}

// copySnapshot makes the plain tree to the files of a snapshot of one.
func (m *Manager) copySnapshot(ctx context.Context, n state.Snapshot, to rootfs.Rootfs) error {
	root, err := m.rootfsIn(n.VPS, rootfs.Rootfs{})
	if err != nil {
		return err
	}
	trees := plainTrees(root)
	if len(trees) != 1 {
		return fail.New(fail.State, "the snapshot %s has %d trees of files, and needs one", n.Name, len(trees))
	}
	return m.rootfses.CopyTree(ctx, rootfs.Frozen{Dir: trees[0].Dir}, to, m.copying("copying the files of the snapshot"))
}

// plainTrees returns the files of a snapshot of a plain tree: a frozen layer, or after an
// import the only layer of its image.
func plainTrees(r rootfs.Rootfs) []rootfs.Frozen {
	if len(r.Frozen) > 0 {
		return r.Frozen
	}
	return r.Below()
}

// fillFrom returns a function that makes the plain tree of a clone of the locked VPS v,
// which may run.
func (m *Manager) fillFrom(ctx context.Context, l *state.Locked, v vps.VPS) func(rootfs.Rootfs) error {
	return func(to rootfs.Rootfs) error {
		life, err := l.Life()
		if fail.Is(err, fail.State) {
			_, err = m.copyRunning(ctx, v, to)
			return err
		}
		if err != nil {
			return err
		}
		defer state.ReleaseLife(life)
		if err := m.notMounted(v.Name); err != nil {
			return err
		}
		root, err := m.rootfs(v)
		if err != nil {
			return err
		}
		return m.rootfses.CopyTree(ctx, root.Own(), to, m.copying("copying its files"))
	}
}
