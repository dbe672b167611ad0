package runtime

import (
	"context"
	"fmt"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/diskuse"
	"croft/template"
	"croft/template/backups"
)

// toMove returns the snapshots that go with the VPS.
func (g *moving) toMove() ([]state.Snapshot, error) {
	if g.o.NoSnapshots {
		return nil, nil
	}
	return g.store.Snapshots(g.v.Name)
}

// holdSnapshots returns the snapshots that are sent. Their layers do not change until the
// move ends.
func (g *moving) holdSnapshots(ctx context.Context) ([]backups.Snapshot, error) {
	if g.o.NoSnapshots {
		return nil, nil
	}
	d, err := g.settings()
	if err != nil {
		return nil, err
	}
	all, layers, err := g.snapshotsToExport(g.v, d)
	if err != nil {
		return nil, err
	}
	release, err := g.store.HoldLayers(ctx, layers)
	if err == nil {
		g.release = append(g.release, release)
	}
	return all, err
}

// snapshotBytes returns about the size of the files that only the snapshots have.
func (g *moving) snapshotBytes(ctx context.Context) (int64, error) {
	all, err := g.toMove()
	if err != nil {
		return 0, err
	}
	counted := map[string]bool{}
	for _, f := range g.v.Frozen {
		counted[f.ID] = true
	}
	for _, l := range g.v.Template.Layers {
		counted[l] = true
	}
	var dirs []string
	for _, n := range all {
		for _, f := range n.VPS.Frozen {
			if !counted[f.ID] {
				counted[f.ID], dirs = true, append(dirs, g.store.FrozenTree(f.ID))
			}
		}
		for _, l := range n.VPS.Template.Layers { // one that came here with the VPS is an image
			if counted[l] {
				continue
			}
			counted[l] = true
			layer, err := g.templates.LayerDirs(template.Image{Name: n.VPS.Template.Name, Layers: []string{l}})
			if err != nil {
				return 0, err
			}
			dirs = append(dirs, layer...)
		}
	}
	return diskuse.Of(ctx, dirs...)
}

// checkSnapshots returns why the snapshots cannot be moved, and what happens to them.
// bytes is their size.
func (g *moving) checkSnapshots(bytes int64) (problems, notes []string, err error) {
	all, err := g.store.Snapshots(g.v.Name)
	if err != nil || len(all) == 0 {
		return nil, nil, err
	}
	switch {
	case g.o.NoSnapshots && g.o.RemoveSource:
		return nil, []string{fmt.Sprintf("its snapshots (%d) are not moved, and are destroyed here with it", len(all))}, nil
	case g.o.NoSnapshots:
		return nil, []string{fmt.Sprintf("its snapshots (%d) are not moved", len(all))}, nil
	}
	for _, n := range all {
		if n.Err != nil {
			problems = append(problems, fmt.Sprintf("its snapshot %s: %v; --no-snapshots moves the VPS alone", n.Name, n.Err))
		}
	}
	return problems, []string{fmt.Sprintf("its snapshots (%d) are moved too, with about %d MiB of their own", len(all), (bytes+1<<20-1)>>20)}, nil
}

// snapshotImages returns the images, by digest, that are the files of snapshots that came
// to this host with the VPS.
func (m *Manager) snapshotImages(name vps.Name) ([]string, error) {
	all, err := m.store.Snapshots(name)
	var digests []string
	for _, n := range all {
		if n.Err == nil && len(n.VPS.Frozen) == 0 && !slices.Contains(digests, n.VPS.Template.Digest) {
			digests = append(digests, n.VPS.Template.Digest)
		}
	}
	return digests, err
}

// removeImages removes those images of a VPS that is gone that are former ones without a
// user. What it cannot remove is left for a prune, with a warning.
func (m *Manager) removeImages(ctx context.Context, digests []string) {
	for _, d := range digests {
		if im, err := m.templates.Resolve(d); err != nil || !im.Former {
			continue
		}
		err := m.templates.Remove(ctx, d, m.usedTemplates)
		if err != nil && !fail.Is(err, fail.State) && !fail.Is(err, fail.NotFound) {
			m.warn(err.Error())
		}
	}
}
