package runtime

import (
	"context"
	"path/filepath"
	"strings"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

// MountSnapshot mounts the files of a snapshot on the existing directory target of the
// host, an absolute path, read-only. Owners are the ids inside. No-op if it is mounted
// there. It stays mounted until UmountSnapshot, Destroy or a reboot of the host, and
// until then the snapshot cannot be deleted.
func (m *Manager) MountSnapshot(ctx context.Context, name vps.Name, snapshot, target string) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	stack, _, err := m.stackOf(v, snapshot)
	if err != nil {
		return err
	}
	if target, err = filepath.EvalSymlinks(target); err != nil {
		return fail.New(fail.Usage, "mount on it: %w", err)
	}
	mounted, err := m.snapshotMounts(v, snapshot)
	if err != nil {
		return err
	}
	for _, dir := range mounted {
		if dir == target {
			return nil
		}
	}
	return m.rootfses.MountView(m.store.RootfsDir(), snapshotSource(v, snapshot), stack, target)
}

// UmountSnapshot undoes MountSnapshot, wherever the snapshot is mounted. No-op if it is
// not. It is fail.Busy while a process uses the files.
func (m *Manager) UmountSnapshot(ctx context.Context, name vps.Name, snapshot string) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if _, err := m.store.Snapshot(name, snapshot); fail.Is(err, fail.NotFound) || fail.Is(err, fail.Usage) {
		return err
	}
	return m.releaseSnapshots(v, snapshot)
}

// snapshotSource is the source of the mounts of a snapshot of v, or with "" what those
// of all snapshots of v begin with. A VPS has the same UUID under another name.
func snapshotSource(v vps.VPS, snapshot string) string { return "croft:" + v.UUID + "@" + snapshot }

// snapshotMounts returns where a snapshot of v is mounted, or with "" any snapshot of v.
func (m *Manager) snapshotMounts(v vps.VPS, snapshot string) ([]string, error) {
	if v.UUID == "" { // only its name is known
		return nil, nil
	}
	source := snapshotSource(v, snapshot)
	views, err := m.rootfses.Views(source)
	var dirs []string
	for _, view := range views {
		if snapshot == "" || view.Source == source {
			dirs = append(dirs, view.Target)
		}
	}
	return dirs, err
}

// mountedSnapshots returns where the snapshots of v are mounted, by their names.
func (m *Manager) mountedSnapshots(v vps.VPS) (map[string][]string, error) {
	if v.UUID == "" { // its settings cannot be read
		return nil, nil
	}
	source := snapshotSource(v, "")
	views, err := m.rootfses.Views(source)
	all := map[string][]string{}
	for _, view := range views {
		name := strings.TrimPrefix(view.Source, source)
		all[name] = append(all[name], view.Target)
	}
	return all, err
}

// releaseSnapshots unmounts a snapshot of v, or with "" all.
func (m *Manager) releaseSnapshots(v vps.VPS, snapshot string) error {
	dirs, err := m.snapshotMounts(v, snapshot)
	for _, dir := range dirs {
		if e := m.rootfses.ReleaseView(dir); e != nil {
			return e
		}
	}
	return err
}

// snapshotNotMounted is fail.State if the snapshot is mounted: its layers must not
// change.
func (m *Manager) snapshotNotMounted(v vps.VPS, snapshot string) error {
	dirs, err := m.snapshotMounts(v, snapshot)
	if err == nil && len(dirs) > 0 {
		err = fail.New(fail.State, "the snapshot %s of %s is mounted on %s", snapshot, v.Name, strings.Join(dirs, ", ")).
			WithHint("croft snapshot umount %s %s", v.Name, snapshot)
	}
	return err
}

// notMountedAmong returns the snapshots of v that are not mounted, and warns about the
// others.
func (m *Manager) notMountedAmong(v vps.VPS, all []state.Snapshot) []string {
	var names []string
	for _, n := range all {
		if err := m.snapshotNotMounted(v, n.Name); err != nil {
			m.warn(err.Error())
			continue
		}
		names = append(names, n.Name)
	}
	return names
}
