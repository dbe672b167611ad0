package runtime

import (
	"context"
	"net/netip"

	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

type plug struct {
	table network.Table
	plan  network.Plan
}

func (m *Manager) plugs(v vps.VPS) (all []plug, err error) {
	plugs, err := m.networkTables().Plugs(v)
	for _, p := range plugs {
		all = append(all, plug{p.Table, p.Plan})
	}
	return all, err
}

func (m *Manager) tables() map[string]network.Table { return m.networkTables().All() }

func (m *Manager) table(name string, owners ...string) (network.Table, error) {
	return m.networkTables().Get(name, owners...)
}

func (m *Manager) changeTable(ctx context.Context, name string, change func(*network.Table) error) error {
	return m.networkTables().Change(ctx, name, change)
}

func (m *Manager) sweepClaims(t *network.Table, except string) {
	m.networkTables().SweepClaims(t, except)
}

func claimOf(t network.Table, owner, iface string) (network.Claim, bool) {
	return tables.ClaimOf(t, owner, iface)
}

func takenOnLAN(t network.Table, wanted []netip.Addr, found map[netip.Addr]string) error {
	return tables.TakenOnLAN(t, wanted, found)
}

func partition[T any](all []T, is func(T) bool) (yes, no []T) { return tables.Partition(all, is) }

func networksOf(v vps.VPS) []string { return tables.NetworksOf(v) }
