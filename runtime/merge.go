package runtime

import (
	"context"
	"errors"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/snapshots"
	"croft/template/backups"
	"croft/template/rootfs/tree"
)

// mergeLayers merges layers that only the locked VPS v and its snapshots have, always
// together. So the number of its layers depends on its snapshots and clones, and not on
// those that it once had; layers that a registry has are merged later (snapshots.Choose).
// It returns its settings after that. No-op for a VPS that runs, or if it or one of its
// snapshots is mounted.
//
// However it ends, the VPS and its snapshots have the files that they had.
func (m *Manager) mergeLayers(ctx context.Context, l *state.Locked, v vps.VPS) (vps.VPS, error) {
	if len(v.Frozen) == 0 {
		return v, nil
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	defer state.ReleaseLife(life)
	if m.notMounted(v.Name) != nil {
		return v, nil
	}
	if dirs, err := m.snapshotMounts(v, ""); err != nil || len(dirs) > 0 {
		return v, err
	}
	for {
		all, err := m.store.Stacks(ctx)
		if err != nil {
			return v, err
		}
		pair, found := snapshots.Choose(snapshots.Mergeable(all, v), len(v.Frozen), m.pushedSize)
		if !found {
			return v, nil
		}
		release, got, err := m.store.TryLayers(pair.Lower, pair.Upper)
		if err != nil || !got { // an export reads them
			return v, err
		}
		now, err := m.mergeTwo(ctx, l, v, pair)
		release()
		if errors.Is(err, tree.ErrRedirect) {
			return v, nil // they stay two layers
		}
		if err != nil {
			return v, err
		}
		v = now
	}
}

// pushedSize returns the size of a frozen layer that was pushed, and 0 for others.
func (m *Manager) pushedSize(id string) int64 { return backups.RememberedSize(m.store.PackedFile(id)) }

// mergeTwo moves the files of one layer into the one above it. Then it is empty, and
// neither v nor its snapshots have it any more.
func (m *Manager) mergeTwo(ctx context.Context, l *state.Locked, v vps.VPS, pair snapshots.Merge) (vps.VPS, error) {
	changed, upper := []string{pair.Lower}, m.mountpoint(v.Name).Upper()
	if pair.Upper != "" {
		changed, upper = append(changed, pair.Upper), m.store.FrozenTree(pair.Upper)
	}
	if err := m.store.ForgetPacked(changed...); err != nil {
		return v, err
	}
	if err := m.rootfses.Merge(ctx, upper, m.store.FrozenTree(pair.Lower)); err != nil {
		return v, err
	}
	if err := m.store.MarkUnused(); err != nil {
		return v, err
	}
	all, err := m.store.Snapshots(v.Name)
	if err != nil {
		return v, err
	}
	for _, n := range all {
		if !slices.ContainsFunc(n.VPS.Frozen, func(f vps.Frozen) bool { return f.ID == pair.Lower }) {
			continue
		}
		n.VPS.Frozen = snapshots.Without(n.VPS.Frozen, pair.Lower)
		if err := l.PutSnapshot(n); err != nil {
			return v, err
		}
	}
	now := v.Clone()
	now.Frozen = snapshots.Without(v.Frozen, pair.Lower)
	return now, l.Put(now)
}
