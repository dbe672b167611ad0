package runtime

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/hooks"
	"croft/runtime/snapshots"
	"croft/template/rootfs"
)

// Clone creates the VPS to with the files and settings of another one, or of a
// snapshot of it. It shares their files, so that its time does not depend on their
// number; the files of a running VPS are copied, as for a snapshot. With o.Full it
// has copies of all files that are not of the template. The new VPS has ids,
// addresses, MACs and a machine id of its own, and no published ports and no
// credentials. The edits then change its settings. Either VPS can be destroyed without
// the other. After an error there is no new VPS; a killed Clone leaves the whole VPS with
// the edits, or none.
func (m *Manager) Clone(ctx context.Context, to vps.Name, o CloneOptions) (Info, error) {
	if o.From == to {
		return Info{}, fail.New(fail.Usage, "a clone of %s needs another name", o.From)
	}
	if err := m.removeLeft(ctx, to); err != nil {
		return Info{}, err
	}
	v, target, err := m.clone(ctx, to, o)
	if err != nil {
		return Info{}, err
	}
	err = m.complete(ctx, target, o.Edits)
	target.Unlock() // so that a hook can change and start the VPS
	if err != nil {
		return Info{}, err
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	info, err := m.Inspect(ctx, to)
	if err == nil {
		m.tellCreated(info)
	}
	m.afterwards(ctx, hooks.PostCreate, v)
	return info, err
}

// clone creates the VPS to, which is incomplete if there are edits. It returns its lock.
func (m *Manager) clone(ctx context.Context, to vps.Name, o CloneOptions) (_ vps.VPS, _ *state.Locked, err error) {
	l, target, err := m.lockBoth(ctx, o.From, to)
	if err != nil {
		return vps.VPS{}, nil, err
	}
	defer l.Unlock() // not before the clone has the layers
	defer func() {
		if err != nil {
			target.Unlock()
		}
	}()
	v, err := m.loadLocked(ctx, l)
	if err != nil {
		return vps.VPS{}, nil, err
	}
	if err := m.readyFor(ctx, target, vps.IDRange{}); err != nil {
		return vps.VPS{}, nil, err
	}
	how := CreateOptions{full: o.Full, Ephemeral: o.ephemeral, Connections: m.connectionsOf(v), incomplete: len(o.Edits) > 0}
	v, first, release, err := m.filesToClone(ctx, l, v, o, &how)
	if err != nil {
		return vps.VPS{}, nil, err
	}
	defer release()
	c, without := snapshots.Cloned(v, to, uuid.NewString(), time.Now().UTC().Truncate(time.Second))
	c.Fit = c.Fit.Cloned(!first)
	c.Ephemeral, c.Runner = o.ephemeral, o.runner
	how.like, how.IDSize = &c, c.IDs.Size
	if err := m.create(ctx, target, how, imageOf(c)); err != nil {
		return vps.VPS{}, nil, err
	}
	if len(without) > 0 {
		m.warn(fmt.Sprintf("%s does not get from %s: %s", to, o.From, strings.Join(without, ", ")))
	}
	return c, target, nil
}

// filesToClone returns the settings of the locked VPS v, or of its snapshot, with the layers
// that a clone gets, and whether the VPS has never started. how gets what makes the files of
// a plain tree. release is called when the clone has the layers.
func (m *Manager) filesToClone(ctx context.Context, l *state.Locked, v vps.VPS, o CloneOptions, how *CreateOptions) (_ vps.VPS, first bool, release func(), err error) {
	release = func() {}
	if o.Snapshot != "" {
		n, err := m.store.Snapshot(o.From, o.Snapshot)
		if err != nil {
			return v, false, release, err
		}
		if v = ofSnapshot(v, n); v.Storage == vps.StoragePlain {
			how.fill = func(to rootfs.Rootfs) error { return m.copySnapshot(ctx, n, to) }
		}
		return v, n.NeverStarted, release, nil
	}
	if first, err = m.firstStart(o.From); err != nil {
		return v, false, release, err
	}
	if v.Storage == vps.StoragePlain {
		how.fill = m.fillFrom(ctx, l, v)
		return v, first, release, nil
	}
	c, err := m.capture(ctx, l, v)
	if err != nil {
		return v, false, release, err
	}
	v.Frozen = c.layers
	return v, first, c.keep, nil
}

// makeFilesOf makes the root filesystem of v at root. A full clone has all files of its
// frozen layers as its own.
func (m *Manager) makeFilesOf(ctx context.Context, root rootfs.Rootfs, v *vps.VPS, o CreateOptions) error {
	if !o.full || root.Plain() {
		return m.makeFiles(ctx, root, o.fill)
	}
	if err := m.rootfses.MakeOwn(ctx, root); err != nil {
		return fmt.Errorf("copy its files: %w", err)
	}
	v.Frozen = nil
	return nil
}

// ofSnapshot returns the settings of v at the snapshot, with the layers of that.
func ofSnapshot(v vps.VPS, n state.Snapshot) vps.VPS {
	then := snapshots.Restored(n.VPS, n)
	then.Name, then.IDs, then.Privileged = v.Name, v.IDs, v.Privileged
	return then
}

// connectionsOf returns the limit of connections of the first interface of v.
func (m *Manager) connectionsOf(v vps.VPS) int64 {
	for _, held := range m.networkTables().Held(v) {
		return held.Connections
	}
	return vps.DefaultConnections
}

// cloneOf is the new VPS c, whose settings are complete but for what it gets when it is
// created.
func (o CreateOptions) cloneOf(name vps.Name) vps.VPS {
	v := o.like.Clone()
	v.Schema, v.Name = state.Schema, name
	if v.Storage == vps.StoragePlain {
		v.Tree = vps.FirstTree
	}
	return v
}
