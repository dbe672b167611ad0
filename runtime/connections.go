package runtime

import (
	"context"
	"errors"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/network"
)

// What can be said of the connections that a VPS may have in the host's table:
// a number, no bound, or what follows from the size of the table.
const (
	LeastConnections     = network.LeastConnections
	MostConnections      = network.MostConnections
	UnlimitedConnections = network.UnlimitedConnections
	DefaultConnections   = 0
)

// SetConnections bounds how many connections each interface of name may have in
// the host's connection table, saved and, if it runs, at once. A VPS without an
// interface whose connections the host tracks is fail.State. On an error
// nothing has changed.
func (m *Manager) SetConnections(ctx context.Context, name string, n int64) error {
	if err := network.CheckConnections(n); err != nil {
		return err
	}
	l, v, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	was, err := m.plans(v)
	if err != nil {
		return err
	}
	if err = m.claimConnections(ctx, v, n); err == nil {
		err = m.applyConnections(ctx, v)
	}
	if err == nil {
		return nil
	}
	back := context.WithoutCancel(ctx)
	for _, p := range was {
		err = errors.Join(err, m.changeTable(back, p.Network, func(t *network.Table) error {
			return t.SetConnections(v.Name, p.Interface, p.Connections)
		}))
	}
	return errors.Join(err, m.applyConnections(back, v))
}

// claimConnections writes the bound into the tables of v's networks.
func (m *Manager) claimConnections(ctx context.Context, v state.VPS, n int64) error {
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

func (m *Manager) applyConnections(ctx context.Context, v state.VPS) error {
	plans, err := m.plans(v)
	if err != nil {
		return err
	}
	return m.networks.SetConnections(ctx, plans)
}
