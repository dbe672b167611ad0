package runtime

import (
	"context"
	"fmt"

	"croft/internal/fail"
	"croft/internal/vps"
)

// checkStart returns the error with which a start of v would fail, as far as that can be
// known while v runs: a restart checks it before it stops v.
func (m *Manager) checkStart(ctx context.Context, v vps.VPS) error {
	if err := m.store.Apart(ctx, v.Name, v.IDs); err != nil {
		return err
	}
	if err := m.checkMounts(v); err != nil {
		return err
	}
	if _, err := m.devicesOf(v); err != nil {
		return err
	}
	if _, err := m.rootfs(v); err != nil {
		return err
	}
	if err := m.networkTables().ClaimMissing(ctx, v); err != nil {
		return err
	}
	return m.checkPassable(v)
}

// checkPassable is fail.Host if the users of v cannot reach the run directory, where its
// root filesystem is.
func (m *Manager) checkPassable(v vps.VPS) error {
	host, err := m.host()
	if err != nil {
		return err
	}
	if host.Impassable == "" || v.IDs.Size == 0 {
		return nil
	}
	return fail.New(fail.Host, "cannot start %s: its users cannot pass through %s, which is on the way to the run directory", v.Name, host.Impassable).
		WithHint("ls -ld %s", host.Impassable)
}

// checkRestart is checkStart for v, if that runs.
func (m *Manager) checkRestart(ctx context.Context, v vps.VPS) error {
	runs, err := m.runs(v.Name)
	if err != nil || !runs {
		return nil // the stop or the start finds out
	}
	if err := m.checkStart(ctx, v); err != nil {
		return fmt.Errorf("%s still runs, because it could not start again: %w", v.Name, err)
	}
	return nil
}
