package runtime

import (
	"context"

	"croft/internal/fail"
	"croft/network"
)

// NetworkInfo is the network package's own description.
type NetworkInfo = network.Info

// Networks lists the networks, sorted by name. The default one is there as
// soon as a VPS has asked for it.
func (m *Manager) Networks(ctx context.Context) ([]NetworkInfo, error) {
	names, err := m.store.Networks()
	if err != nil {
		return nil, err
	}
	all := []NetworkInfo{}
	for _, name := range names {
		info, err := m.Network(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// Network describes one network and who owns what in it.
func (m *Manager) Network(_ context.Context, name string) (NetworkInfo, error) {
	t, err := m.table(name)
	if err != nil {
		return NetworkInfo{}, err
	}
	return t.Info(), nil
}

// RepairNetwork makes the host match its plan of the network again, for the
// network and for every VPS that runs on it.
func (m *Manager) RepairNetwork(ctx context.Context, name string) error {
	t, err := m.table(name)
	if err != nil {
		return err
	}
	if err := m.networks.Ensure(ctx, network.NewHostPlan(t)); err != nil {
		return err
	}
	if err := m.repairRates(ctx, t); err != nil {
		return err
	}
	m.tellNames(ctx, []string{name})
	return m.publishAll(ctx)
}

// RemoveNetwork removes a network that nobody has an address in, from the host
// and from croft's files.
func (m *Manager) RemoveNetwork(ctx context.Context, name string) error {
	t, err := m.table(name)
	if err != nil {
		return err
	}
	if len(t.Claims) > 0 {
		return fail.New(fail.State, "network %s is used by %s", name, t.Claims[0].Owner).WithHint("croft network inspect %s", name)
	}
	if err := m.networks.Remove(ctx, network.NewHostPlan(t)); err != nil {
		return err
	}
	return m.store.RemoveNetwork(ctx, name)
}

func (m *Manager) table(name string) (network.Table, error) {
	data, err := m.store.Network(name)
	if err != nil {
		return network.Table{}, err
	}
	if data == nil {
		return network.Table{}, fail.New(fail.NotFound, "no network named %q", name).WithHint("croft network list")
	}
	return network.Decode(data)
}
