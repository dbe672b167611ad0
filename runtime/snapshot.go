package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/events"
	"croft/runtime/snapshots"
)

// CreateSnapshot makes a snapshot of the VPS name: its files and settings as they are
// now. A stopped VPS takes the same time whatever its size. A running one goes on, and
// stands still for the time that the snapshot says: its own files are copied. An
// existing snapshot is fail.Taken. After an error there is no snapshot.
func (m *Manager) CreateSnapshot(ctx context.Context, name vps.Name, o SnapshotOptions) (SnapshotInfo, error) {
	now := time.Now().UTC()
	o.Name = cmp.Or(o.Name, snapshots.NameAt(now))
	if err := vps.CheckSnapshot(o.Name); err != nil {
		return SnapshotInfo{}, err
	}
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer l.Unlock()
	return m.createSnapshot(ctx, l, v, o, now)
}

// createSnapshot is CreateSnapshot for the locked VPS v. o has the name.
func (m *Manager) createSnapshot(ctx context.Context, l *state.Locked, v vps.VPS, o SnapshotOptions, now time.Time) (SnapshotInfo, error) {
	name := v.Name
	if _, err := m.store.Snapshot(name, o.Name); err == nil {
		return SnapshotInfo{}, fail.New(fail.Taken, "%s has a snapshot named %q", name, o.Name).WithHint("croft snapshot list %s", name)
	} else if !fail.Is(err, fail.NotFound) {
		return SnapshotInfo{}, err
	}
	v, err := m.mergeLayers(ctx, l, v)
	if err != nil {
		return SnapshotInfo{}, err
	}
	first, err := m.firstStart(name)
	if err != nil {
		return SnapshotInfo{}, err
	}
	c, err := m.capture(ctx, l, v)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer c.keep()
	n := state.Snapshot{
		Name: o.Name, Created: now.Truncate(time.Second), Description: o.Description,
		Running: c.running, PauseMilliseconds: c.pause.Milliseconds(), NeverStarted: first, VPS: v,
	}
	if o.Expire > 0 {
		n.Expires = new(n.Created.Add(o.Expire))
	}
	n.VPS.Frozen = c.layers
	if err := l.PutSnapshot(n); err != nil {
		return SnapshotInfo{}, err
	}
	m.event(v, events.SnapshotCreated, eventSnapshot, n.Name)
	return snapshots.InfoOf(name, n), nil
}

// Snapshots returns the snapshots of the VPSs, those of each the oldest first; of all
// VPSs without names.
func (m *Manager) Snapshots(_ context.Context, names ...vps.Name) ([]SnapshotInfo, error) {
	if len(names) == 0 {
		var err error
		if names, err = m.store.Names(); err != nil {
			return nil, err
		}
	}
	all := []SnapshotInfo{}
	for _, name := range names {
		v, err := m.store.Get(name)
		if fail.Is(err, fail.NotFound) {
			return nil, err
		}
		some, err := m.store.Snapshots(name)
		if err != nil {
			return nil, err
		}
		mounted, err := m.mountedSnapshots(v)
		if err != nil {
			return nil, err
		}
		for _, n := range some {
			info := snapshots.InfoOf(name, n)
			info.Mounted = append(info.Mounted, mounted[n.Name]...)
			all = append(all, info)
		}
	}
	return all, nil
}

// SnapshotSettings returns the settings that the VPS name would have if those of the
// snapshot were restored.
func (m *Manager) SnapshotSettings(ctx context.Context, name vps.Name, snapshot string) (vps.VPS, error) {
	n, err := m.store.Snapshot(name, snapshot)
	if err != nil {
		return vps.VPS{}, err
	}
	now, err := m.Settings(ctx, name)
	if err != nil {
		return vps.VPS{}, err
	}
	return snapshots.Settings(now, n), nil
}

// RestoreSnapshot gives the stopped VPS name the files of a snapshot. Those that it has
// now are deleted. Its settings stay, except for the template. A running VPS is
// fail.State. However RestoreSnapshot ends, the VPS has its files from before or those of
// the snapshot.
func (m *Manager) RestoreSnapshot(ctx context.Context, name vps.Name, snapshot string) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	n, err := m.store.Snapshot(name, snapshot)
	if err != nil {
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return fail.New(fail.State, "%s is running, and only a stopped VPS can be restored; --restart stops it first", name).WithHint("croft list %s", name)
	}
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	if err := m.notMounted(name); err != nil {
		return err
	}
	if _, err := m.rootfs(n.VPS); err != nil { // its template is there
		return err
	}
	if v.Disk.Image != "" || v.Storage == vps.StoragePlain || n.VPS.Storage == vps.StoragePlain {
		return m.restoreFiles(ctx, l, v, n)
	}
	// What it has now becomes a layer, and nothing uses that when the settings are saved.
	now, layer, err := m.freezeFiles(l, v)
	if err != nil {
		return err
	}
	if layer != nil {
		defer layer.Close()
	}
	if err := m.store.MarkUnused(); err != nil {
		return err
	}
	now = snapshots.Restored(now, n)
	if err := l.Put(now); err != nil {
		return err
	}
	m.event(v, events.SnapshotRestored, eventSnapshot, n.Name)
	if _, err := m.settleRestored(l, now); err != nil {
		return err
	}
	if layer != nil {
		layer.Close()
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	return nil
}

// DeleteSnapshot deletes a snapshot. Files that only it has are deleted. A missing one is
// fail.NotFound, one that is mounted fail.State.
func (m *Manager) DeleteSnapshot(ctx context.Context, name vps.Name, snapshot string) error {
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if _, err := m.store.Snapshot(name, snapshot); fail.Is(err, fail.NotFound) || fail.Is(err, fail.Usage) {
		return err
	}
	if err := m.snapshotNotMounted(v, snapshot); err != nil {
		return err
	}
	return m.deleteSnapshots(ctx, l, v, snapshot)
}

// deleteSnapshots deletes snapshots of the locked VPS v.
func (m *Manager) deleteSnapshots(ctx context.Context, l *state.Locked, v vps.VPS, names ...string) error {
	var failed error
	for _, n := range names {
		if err := l.RemoveSnapshot(n); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		m.event(v, events.SnapshotDeleted, eventSnapshot, n)
	}
	if _, err := m.mergeLayers(ctx, l, v); err != nil {
		m.warn(fmt.Sprintf("%s: its layers are not merged: %v", v.Name, err))
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	return failed
}

// PruneSnapshots deletes the snapshots of the VPS name that have expired, and returns
// their names. It leaves one that is mounted, with a warning.
func (m *Manager) PruneSnapshots(ctx context.Context, name vps.Name) ([]string, error) {
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return nil, err
	}
	defer l.Unlock()
	all, err := m.store.Snapshots(name)
	if err != nil {
		return nil, err
	}
	names := m.notMountedAmong(v, snapshots.Expired(all, time.Now()))
	if len(names) == 0 {
		return nil, nil
	}
	return names, m.deleteSnapshots(ctx, l, v, names...)
}
