package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

// Names of networks with a meaning.
const (
	DefaultNetwork = network.DefaultName
	NoNetwork      = "none"
)

// NetworkInfo describes a network.
type NetworkInfo = network.Info

// Networks lists the networks, sorted by name. A network that cannot be read is listed
// with the reason. The default network exists after the first create of a VPS on it.
func (m *Manager) Networks(ctx context.Context) ([]NetworkInfo, error) {
	names, err := m.store.Networks()
	if err != nil {
		return nil, err
	}
	all := []NetworkInfo{}
	for _, name := range names {
		info, err := m.Network(ctx, name)
		switch {
		case fail.Is(err, fail.NotFound):
			continue // removed since
		case err != nil:
			info = network.Broken(name, err)
		}
		all = append(all, info)
	}
	return all, nil
}

// Network describes one network and its addresses with their owners.
func (m *Manager) Network(_ context.Context, name string) (NetworkInfo, error) {
	t, err := m.networkTables().Get(name)
	if err != nil {
		return NetworkInfo{}, err
	}
	return t.Info(), nil
}

// NetworkSettings are the settings of a new network.
type NetworkSettings = network.Settings

// NetworkModes returns the modes of networks.
func NetworkModes() []string { return network.Modes() }

// CreateNetwork creates an empty network, in croft's files and on the host. It is
// fail.Taken if the name or a prefix is in use, and fail.State if a bridge or a link
// that it needs is missing. After an error nothing of it is left.
func (m *Manager) CreateNetwork(ctx context.Context, s NetworkSettings) (NetworkInfo, error) {
	if _, err := vps.ParseName(s.Name); err != nil {
		return NetworkInfo{}, err
	}
	if s.Name == NoNetwork {
		return NetworkInfo{}, fail.New(fail.Usage, "\"none\" is reserved: it means no network")
	}
	var t network.Table
	err := m.store.WithNetworksLock(ctx, func() error {
		seed, err := m.networks.Seed(s.Name)
		if err != nil {
			return err
		}
		tables := m.networkTables().All()
		for _, name := range slices.Sorted(maps.Keys(tables)) {
			s.Others = append(s.Others, tables[name])
		}
		return m.store.UpdateNetwork(ctx, s.Name, func(old state.NetworkTable) (state.NetworkChange, error) {
			if old.Settings != nil {
				return state.NetworkChange{}, fail.New(fail.Taken, "a network named %q exists", s.Name).WithHint("croft network inspect %s", s.Name)
			}
			if t, err = network.New(s, seed); err != nil {
				return state.NetworkChange{}, err
			}
			c, err := t.Changes()
			return state.NetworkChange(c), err
		})
	})
	if err != nil {
		return NetworkInfo{}, err
	}
	if err := m.networks.Ensure(ctx, network.NewHostPlan(t)); err != nil {
		return NetworkInfo{}, errors.Join(err, m.RemoveNetwork(context.WithoutCancel(ctx), s.Name, false))
	}
	return t.Info(), nil
}

// A NetworkChange is what SetNetwork changes. A nil field is left unchanged.
type NetworkChange struct {
	Names *bool // whether VPSs of the network get each other's names
}

// SetNetwork changes a network. The change takes effect in running VPSs at once. A VPS
// whose files cannot be written is a warning.
func (m *Manager) SetNetwork(ctx context.Context, name string, c NetworkChange) error {
	err := m.store.UpdateNetwork(ctx, name, func(old state.NetworkTable) (state.NetworkChange, error) {
		t, err := m.networkTables().Existing(name, old)
		if err != nil {
			return state.NetworkChange{}, err
		}
		if c.Names != nil {
			t.NoNames = !*c.Names
		}
		changes, err := t.Changes()
		return state.NetworkChange(changes), err
	})
	if err != nil {
		return err
	}
	m.names().Update(ctx, []string{name})
	return nil
}

// RepairNetwork makes the host match the plan of the network and of all VPSs that run
// on it. It creates missing interfaces again, inside too. A VPS that cannot be
// repaired, or whose lock another command holds, is a warning. Damaged claims are
// rebuilt: see rebuildClaims.
func (m *Manager) RepairNetwork(ctx context.Context, name string) error {
	t, err := m.networkTables().Get(name)
	if fail.Is(err, fail.State) {
		t, err = m.rebuildClaims(ctx, name)
	}
	if err != nil {
		return err
	}
	if err := m.networks.Ensure(ctx, network.NewHostPlan(t)); err != nil {
		return err
	}
	if err := m.repairInterfaces(ctx, name); err != nil {
		return err
	}
	if err := m.repairRates(ctx, t); err != nil {
		return err
	}
	m.names().Rewrite(ctx, []string{name})
	return m.publishAll(ctx)
}

// rebuildClaims writes damaged claims of a network again, without those that are lost.
// A VPS that has lost its addresses gets new ones at its next start. It is fail.State
// if such a VPS runs, because its addresses would be free for others, and if the
// settings of the network cannot be read.
func (m *Manager) rebuildClaims(ctx context.Context, name string) (network.Table, error) {
	rebuilt := false
	err := m.store.UpdateNetwork(ctx, name, func(files state.NetworkTable) (state.NetworkChange, error) {
		_, broken := m.networkTables().Existing(name, files)
		if !fail.Is(broken, fail.State) {
			return state.NetworkChange{}, broken // another process has repaired or removed it
		}
		t, err := network.Salvage(network.Files(files))
		if t.Schema > network.Schema {
			return state.NetworkChange{}, broken
		}
		if err != nil || t.Name != name {
			return state.NetworkChange{}, fail.New(fail.State, "cannot repair it: %w", broken).WithHint("croft help network remove")
		}
		if err := m.claimsOfRunning(t); err != nil {
			return state.NetworkChange{}, err
		}
		rebuilt = true
		c, err := t.Changes()
		return state.NetworkChange(c), err
	})
	if err != nil {
		return network.Table{}, err
	}
	if rebuilt {
		m.warn(fmt.Sprintf("the claims of network %s were damaged and are written again: a VPS that has lost its addresses gets new ones at its next start", name))
	}
	return m.networkTables().Get(name)
}

// claimsOfRunning is fail.State if a VPS that runs on the network of t has no claim in
// t.
func (m *Manager) claimsOfRunning(t network.Table) error {
	entries, err := m.store.All()
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, i := range e.VPS.Interfaces {
			_, ok := tables.ClaimOf(t, e.Name, i.Name)
			if ok || i.Network != t.Name || !m.mayRun(e.Name) {
				continue
			}
			return fail.New(fail.State, "cannot repair network %s: the addresses of %s are lost, and it runs", t.Name, e.Name).WithHint("croft list %s", e.Name)
		}
	}
	return nil
}

// repairInterfaces creates missing interfaces of the VPSs that run on a network.
func (m *Manager) repairInterfaces(ctx context.Context, name string) error {
	entries, err := m.store.All()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Err != nil || !slices.Contains(tables.NetworksOf(e.VPS), name) {
			continue
		}
		if init, err := m.liveInit(e.Name); err != nil || init.PID == 0 {
			continue
		}
		if err := m.repairInterfacesOf(ctx, e.Name, name); err != nil {
			m.warn(fmt.Sprintf("%s: cannot repair its network: %v", e.Name, err))
		}
	}
	return ctx.Err()
}

func (m *Manager) repairInterfacesOf(ctx context.Context, name vps.Name, network string) error {
	l, err := m.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v, err := l.VPS()
	if err != nil {
		return err
	}
	init, err := m.liveInit(name)
	if err != nil || init.PID == 0 {
		return err
	}
	plans, err := m.networkTables().Plans(v)
	if err != nil {
		return err
	}
	created := false
	for _, p := range plans {
		if p.Network != network {
			continue
		}
		made, err := m.networks.Replug(ctx, p, init)
		if err != nil {
			return err
		}
		created = created || made
	}
	if r := v.Routing; created && r.Any() {
		return m.networks.SetRouting(r, plans, init)
	}
	return nil
}

// RemoveNetwork removes a network from the host and from croft's files. It is
// fail.State if the network has VPSs. With force it also removes a network that cannot
// be read, unless a VPS on it runs: it renames the file, and VPSs on it get new
// addresses at their next start if there is a network of that name then.
func (m *Manager) RemoveNetwork(ctx context.Context, name string, force bool) error {
	m.removeAllLeft(ctx)
	return m.store.RemoveNetwork(ctx, name, func(files state.NetworkTable) (aside bool, err error) {
		t, err := m.networkTables().Existing(name, files)
		if err == nil {
			m.networkTables().SweepClaims(&t, "")
			if len(t.Claims) > 0 {
				return false, fail.New(fail.State, "network %s is used by %s", name, t.Claims[0].Owner).WithHint("croft network inspect %s", name)
			}
			return false, m.networks.Remove(ctx, network.NewHostPlan(t))
		}
		if !force || fail.Is(err, fail.NotFound) {
			return false, err
		}
		if err := m.runsOn(name); err != nil {
			return false, err
		}
		// Its mode is unknown: this removes a bridge and rules of that name.
		return true, m.networks.Remove(ctx, network.NewHostPlan(network.Default(network.Seed{Name: name})))
	})
}

// runsOn is fail.State if a VPS on the network runs.
func (m *Manager) runsOn(name string) error {
	entries, err := m.store.All()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Err != nil || !slices.Contains(tables.NetworksOf(e.VPS), name) {
			continue
		}
		if init, err := m.liveInit(e.Name); err != nil || init.PID != 0 {
			return fail.New(fail.State, "network %s is used by %s, which runs", name, e.Name).WithHint("croft list %s", e.Name)
		}
	}
	return nil
}

// repairRates applies the rates of every VPS in the network of t again.
func (m *Manager) repairRates(ctx context.Context, t network.Table) error {
	entries, err := m.store.All()
	if err != nil {
		return err
	}
	var plans []network.Plan
	for _, e := range entries {
		for _, i := range e.VPS.Interfaces {
			if e.Err != nil || i.Network != t.Name {
				continue
			}
			claim, ok := tables.ClaimOf(t, e.VPS.Name, i.Name)
			if !ok {
				continue
			}
			plan, err := network.NewPlan(t, claim)
			if err != nil {
				return err
			}
			plan.Rate = i.Rate
			plans = append(plans, plan)
		}
	}
	return m.networks.SetRates(ctx, plans)
}
