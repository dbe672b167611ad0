package runtime

import (
	"context"
	"errors"
	"slices"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
)

// changeConnections bounds how many connections each interface of v, whose lock
// is held, may have in the host's connection table, saved and, if it runs, at
// once. A VPS without an interface whose connections the host tracks is
// fail.State. u takes back what was done, on an error too.
func (m *Manager) changeConnections(ctx context.Context, u *undo, v vps.VPS, n int64) error {
	was, err := m.plans(v)
	if err != nil {
		return err
	}
	u.arm(func() error {
		back := context.WithoutCancel(ctx)
		var err error
		for _, p := range was {
			err = errors.Join(err, m.changeTable(back, p.Network, func(t *network.Table) error {
				return t.SetConnections(v.Name, p.Interface, p.Connections)
			}))
		}
		return errors.Join(err, m.applyConnections(back, v))
	})
	if err := m.claimConnections(ctx, v, n); err != nil {
		return err
	}
	return m.applyConnections(ctx, v)
}

// claimConnections writes the bound into the tables of v's networks.
func (m *Manager) claimConnections(ctx context.Context, v vps.VPS, n int64) error {
	plans, err := m.plans(v)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(plans, func(p network.Plan) bool { return p.HostLink != "" }) {
		return fail.New(fail.State, "%s has no interface whose connections the host tracks: --connections has no effect there", v.Name)
	}
	for _, p := range plans {
		err := m.changeTable(ctx, p.Network, func(t *network.Table) error { return t.SetConnections(v.Name, p.Interface, n) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) applyConnections(ctx context.Context, v vps.VPS) error {
	plans, err := m.plans(v)
	if err != nil {
		return err
	}
	return m.networks.SetConnections(ctx, plans)
}
