package runtime

import (
	"context"
	"slices"

	"croft/internal/vps"
	"croft/template/rootfs"
	"croft/template/rootfs/tree"
)

// Diff calls emit for each difference between two states of the files of the VPS name:
// snapshots, or as old "" the template, and as new "" the files that it has now. The
// order is that of the paths. Of a running VPS, a file that changes meanwhile may be
// missing.
func (m *Manager) Diff(ctx context.Context, name vps.Name, old, new string, emit func(FileChange) error) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	to, template, err := m.stackOf(v, new)
	if err != nil {
		return err
	}
	from := template
	if old != "" {
		if from, _, err = m.stackOf(v, old); err != nil {
			return err
		}
	}
	return m.rootfses.Diff(ctx, m.store.RootfsDir(), from, to, func(c tree.Change) error {
		return emit(FileChange{Kind: c.Kind.String(), Path: c.Path})
	})
}

// A FileChange is a difference between two states of the files of a VPS.
type FileChange struct {
	Kind string `json:"kind"` // A: added, C: changed, D: deleted
	Path string `json:"path"` // inside the VPS; any bytes but 0
}

// stackOf returns the layers of a snapshot of v, the topmost first; snapshot "": those
// that v has now, with its own files. The lowest of them are those of its template.
func (m *Manager) stackOf(v vps.VPS, snapshot string) (all, template []rootfs.Frozen, err error) {
	if snapshot != "" {
		n, err := m.store.Snapshot(v.Name, snapshot)
		if err != nil {
			return nil, nil, err
		}
		v.Frozen, v.Template, v.Storage = n.VPS.Frozen, n.VPS.Template, n.VPS.Storage
	}
	root, err := m.rootfs(v)
	if err != nil {
		return nil, nil, err
	}
	if snapshot == "" {
		return root.Stack(), root.Below(), nil
	}
	if v.Storage == vps.StoragePlain { // its tree has all files
		return plainTrees(root), root.Below(), nil
	}
	return append(slices.Clone(root.Frozen), root.Below()...), root.Below(), nil
}
