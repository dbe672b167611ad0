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
// the other. After an error there is no new VPS.
func (m *Manager) Clone(ctx context.Context, to vps.Name, o CloneOptions) (Info, error) {
	if o.From == to {
		return Info{}, fail.New(fail.Usage, "a clone of %s needs another name", o.From)
	}
	v, err := m.clone(ctx, to, o)
	if err == nil && len(o.Edits) > 0 {
		if err = m.Change(ctx, to, o.Edits...); err != nil {
			err = m.discard(ctx, to, err)
		}
	}
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

func (m *Manager) clone(ctx context.Context, to vps.Name, o CloneOptions) (vps.VPS, error) {
	l, target, err := m.lockBoth(ctx, o.From, to)
	if err != nil {
		return vps.VPS{}, err
	}
	defer l.Unlock() // not before the clone has the layers
	defer target.Unlock()
	v, err := m.loadLocked(ctx, l)
	if err != nil {
		return vps.VPS{}, err
	}
	if err := m.readyFor(ctx, target, vps.IDRange{}); err != nil {
		return vps.VPS{}, err
	}
	connections := m.connectionsOf(v)
	first, err := m.firstStart(o.From)
	if err != nil {
		return vps.VPS{}, err
	}
	var fill func(rootfs.Rootfs) error
	if o.Snapshot == "" && v.Storage == vps.StoragePlain {
		fill = m.fillFrom(ctx, l, v)
	} else if o.Snapshot == "" {
		var c captured
		if c, err = m.capture(ctx, l, v); err == nil {
			defer c.keep()
			v.Frozen = c.layers
		}
	} else {
		var n state.Snapshot
		if n, err = m.store.Snapshot(o.From, o.Snapshot); err == nil {
			v, first = ofSnapshot(v, n), n.NeverStarted
			if v.Storage == vps.StoragePlain {
				fill = func(to rootfs.Rootfs) error { return m.copySnapshot(ctx, n, to) }
			}
		}
	}
	if err != nil {
		return vps.VPS{}, err
	}
	c, without := snapshots.Cloned(v, to, uuid.NewString(), time.Now().UTC().Truncate(time.Second))
	c.Fit = c.Fit.Cloned(!first)
	c.Ephemeral, c.Runner = o.ephemeral, o.runner
	how := CreateOptions{like: &c, full: o.Full, fill: fill, Ephemeral: o.ephemeral, IDSize: c.IDs.Size, Connections: connections}
	if err := m.create(ctx, target, how, imageOf(c)); err != nil {
		return vps.VPS{}, err
	}
	if len(without) > 0 {
		m.warn(fmt.Sprintf("%s does not get from %s: %s", to, o.From, strings.Join(without, ", ")))
	}
	return c, nil
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
