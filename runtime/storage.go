package runtime

import (
	"context"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/template/rootfs"
)

// makeFiles makes the files of a new VPS: those of its template. Of an overlay it only
// makes the directories for what the VPS writes. A plain tree is a copy, with progress.
func (m *Manager) makeFiles(ctx context.Context, r rootfs.Rootfs) error {
	if !r.Plain() {
		return m.rootfses.MakeOver(r)
	}
	return m.fill(ctx, r, r.Below(), "copying the template")
}

// fill fills the plain tree r with the files that stack shows.
func (m *Manager) fill(ctx context.Context, r rootfs.Rootfs, stack []rootfs.Frozen, step string) error {
	return m.rootfses.Fill(ctx, m.store.RootfsDir(), stack, r, m.copying(step))
}

// copying returns a function that shows how many bytes a copy has made.
func (m *Manager) copying(step string) func(done int64) {
	if m.progress == nil {
		return nil
	}
	return func(done int64) { m.progress(Update{Step: step, Done: done}) }
}

// notPlain refuses what plain storage cannot do.
func notPlain(v vps.VPS) error {
	if v.Storage != vps.StoragePlain {
		return nil
	}
	return fail.New(fail.State, "%s has plain storage, and only the files of an overlay can be frozen", v.Name).WithHint("croft inspect %s", v.Name)
}
