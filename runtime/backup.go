package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/backup"
	"croft/template"
	"croft/template/backups"
	"croft/template/layer"
	"croft/template/rootfs"
)

// ExportOptions are the options of Export.
type ExportOptions struct {
	Snapshot string // "": the VPS as it is now
	Compress Compression
	// Snapshots adds the snapshots of the VPS. Export alone, and without Snapshot.
	Snapshots bool
}

// PushOptions are the options of Push.
type PushOptions struct {
	ExportOptions
	Insecure bool        // also allow plain HTTP and certificates that cannot be verified
	SignKey  *SigningKey `json:",omitempty"` // signs the backup; nil: it gets no signature
}

// A BackupResult is what Export or Push has done.
type BackupResult struct {
	Pause            time.Duration // how long the running VPS stood still
	Sockets, Devices int           // files that the backup does not have
	Reference        string        // of Push, with the digest
	Sent, Shared     int64         // of Push: bytes of layers that the registry got, and that it had
}

// Export writes a backup of the VPS name to w: its files and settings, or those of a
// snapshot. With o.Snapshots it has all snapshots too. A running VPS goes on, and stands still for a time that Export returns,
// as for a snapshot. The VPS is locked only while its files become frozen layers. After
// an error w has received a part.
func (m *Manager) Export(ctx context.Context, name vps.Name, w io.Writer, o ExportOptions) (BackupResult, error) {
	return m.backUp(ctx, name, o, func(ctx context.Context, base string, root rootfs.Rootfs, b backups.Options) (r BackupResult, left layer.LeftOut, err error) {
		left, err = m.templates.Backup(ctx, base, root, w, b)
		return r, left, err
	})
}

// Push uploads a backup of the VPS name to a registry, as Export writes it, under the
// reference ref. It sends only layers that the registry does not have. So the frozen layers
// of the VPS stay as they are for a time (mergeLayers), and records say what copied files were
// at the last push. Nothing happens to the VPS if the
// registry does not allow a push. After an error the reference is unchanged.
func (m *Manager) Push(ctx context.Context, name vps.Name, ref string, o PushOptions) (BackupResult, error) {
	if _, err := m.store.Get(name); fail.Is(err, fail.NotFound) {
		return BackupResult{}, err
	}
	to, err := m.templates.OpenPush(ctx, ref, template.PushOptions{Insecure: o.Insecure, SignKey: o.SignKey})
	if err != nil {
		return BackupResult{}, err
	}
	return m.backUp(ctx, name, o.ExportOptions, func(ctx context.Context, base string, root rootfs.Rootfs, b backups.Options) (BackupResult, layer.LeftOut, error) {
		pushed, err := m.templates.PushBackup(ctx, base, root, to, b)
		return BackupResult{Reference: pushed.Reference, Sent: pushed.Sent, Shared: pushed.Shared}, pushed.LeftOut, err
	})
}

// A backupWriter writes the files of root, over the template with the digest base, to a
// backup.
type backupWriter func(ctx context.Context, base string, root rootfs.Rootfs, o backups.Options) (BackupResult, layer.LeftOut, error)

// backUp gives the files and settings of a VPS or a snapshot to write.
func (m *Manager) backUp(ctx context.Context, name vps.Name, o ExportOptions, write backupWriter) (BackupResult, error) {
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return BackupResult{}, err
	}
	defer l.Unlock()
	c, v, d, err := m.exported(ctx, l, v, o.Snapshot)
	if err != nil {
		return BackupResult{}, err
	}
	paused := BackupResult{Pause: c.pause}
	defer m.emptyTrash(context.WithoutCancel(ctx))
	defer c.keep()
	settings, err := json.Marshal(d)
	if err != nil {
		return paused, fmt.Errorf("encode the settings: %w", err)
	}
	var snapshots []backups.Snapshot
	var more []vps.Frozen
	if o.Snapshots {
		if snapshots, more, err = m.snapshotsToExport(v, d); err != nil {
			return paused, err
		}
	}
	release, err := m.holdLayers(ctx, c, more)
	if err != nil {
		return paused, err
	}
	defer release()
	v.Frozen = c.layers
	root, err := m.rootfsIn(v, rootfs.Rootfs{})
	if err != nil {
		return paused, err
	}
	l.Unlock() // its layers do not change any more
	options := backups.Options{
		Name: string(name), Settings: settings, Created: d.Created, Compress: o.Compress, Remember: m.rememberAt(c), Snapshots: snapshots,
	}
	if c.copied {
		options.Records = m.store.PushedDir(name)
	}
	r, left, err := write(ctx, v.Template.Digest, root, options)
	r.Pause, r.Sockets, r.Devices = c.pause, left.Sockets, left.Devices
	return r, err
}

// rememberAt returns where a push remembers what the layers of c have become. A layer that
// is a copy for this backup alone is not one of them: it has records of the VPS.
func (m *Manager) rememberAt(c captured) func(tree string) string {
	return func(tree string) string {
		if c.copied && tree == m.store.FrozenTree(c.layers[0].ID) {
			return ""
		}
		return m.store.PackedFile(filepath.Base(filepath.Dir(tree)))
	}
}

// exported returns the layers and the settings to export.
func (m *Manager) exported(ctx context.Context, l *state.Locked, v vps.VPS, snapshot string) (c captured, _ vps.VPS, d backup.Document, err error) {
	now := time.Now()
	steps, started, err := m.started(v.Name)
	if err != nil {
		return c, v, d, err
	}
	if snapshot != "" {
		n, err := m.store.Snapshot(v.Name, snapshot)
		if err != nil {
			return c, v, d, err
		}
		v, c.layers = ofSnapshot(v, n), n.VPS.Frozen
		return c, v, m.snapshotDocument(v, n, now, started, steps), nil
	}
	if v, err = m.mergeLayers(ctx, l, v); err == nil { // so that their number does not grow
		c, err = m.capture(ctx, l, v)
	}
	if err != nil {
		return c, v, d, err
	}
	d = backup.Of(v, m.networkTables().Held(v), now)
	d.Running = c.running
	if d.Started = started; started {
		d.Fitted = steps
	}
	return c, v, d, nil
}

// snapshotDocument returns the document for the snapshot n, with the settings v of then.
// started and steps are about the VPS now.
func (m *Manager) snapshotDocument(v vps.VPS, n state.Snapshot, now time.Time, started bool, steps []string) backup.Document {
	d := backup.Of(v, m.networkTables().Held(v), now)
	d.Snapshot, d.Running = n.Name, n.Running
	d.Taken = &backup.Taken{Created: n.Created, Expires: n.Expires, Description: n.Description, PauseMilliseconds: n.PauseMilliseconds}
	if d.Started = started && !n.NeverStarted; d.Started {
		d.Fitted = steps
	}
	return d
}

// snapshotsToExport returns the snapshots of the locked VPS v, whose document is d, and
// their frozen layers, each once.
func (m *Manager) snapshotsToExport(v vps.VPS, d backup.Document) (all []backups.Snapshot, layers []vps.Frozen, err error) {
	snapshots, err := m.store.Snapshots(v.Name)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range snapshots {
		if n.Err != nil {
			return nil, nil, n.Err
		}
		then := ofSnapshot(v, n)
		then.Frozen = n.VPS.Frozen // also the tree of a plain one
		settings, err := json.Marshal(m.snapshotDocument(then, n, d.Created, d.Started, d.Fitted))
		if err != nil {
			return nil, nil, fmt.Errorf("encode the settings: %w", err)
		}
		root, err := m.rootfsIn(then, rootfs.Rootfs{})
		if err != nil {
			return nil, nil, err
		}
		all = append(all, backups.Snapshot{Name: n.Name, Settings: settings, Base: then.Template.Digest, Root: root})
		for _, f := range then.Frozen {
			if !slices.ContainsFunc(layers, func(had vps.Frozen) bool { return had.ID == f.ID }) {
				layers = append(layers, f)
			}
		}
	}
	return all, layers, nil
}

// holdLayers keeps the layers of c, and those in more, while release is not called, and
// lets others read them. Copied files are for c alone, until it ends.
func (m *Manager) holdLayers(ctx context.Context, c captured, more []vps.Frozen) (release func(), err error) {
	layers := c.layers
	if c.copied {
		layers = layers[1:]
	} else {
		c.keep() // the VPS has it
	}
	all := slices.Clone(layers)
	for _, f := range more {
		if !slices.ContainsFunc(all, func(had vps.Frozen) bool { return had.ID == f.ID }) {
			all = append(all, f)
		}
	}
	return m.store.HoldLayers(ctx, all)
}
