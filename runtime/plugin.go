package runtime

import (
	"context"
	"fmt"
	"slices"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// plugIn gives the VPS its interfaces, before its init runs.
func (m *Manager) plugIn(ctx context.Context, v vps.VPS, init inside.Identity) error {
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return err
	}
	if err := m.startFirewall(ctx, v, init); err != nil { // before a link is up
		return err
	}
	var plans []network.Plan
	for _, p := range plugs {
		t, err := m.networkTables().Get(p.Plan.Network) // with the ports of all
		if err != nil {
			return err
		}
		if err := m.networks.Ensure(ctx, network.NewHostPlan(t)); err != nil {
			return err
		}
		if err := m.networks.PinNamespace(p.Plan, init, paths.KeptNamespace(m.store, v.Name)); err != nil {
			return err
		}
		if err := m.networks.Plug(ctx, p.Plan, init); err != nil {
			return err
		}
		plans = append(plans, p.Plan)
	}
	if err := m.startRoutes(v, plans, init); err != nil {
		return err
	}
	return m.publishAtStart(ctx, v)
}

// startFirewall gives a VPS that starts its firewall.
func (m *Manager) startFirewall(ctx context.Context, v vps.VPS, init inside.Identity) error {
	if f := v.Firewall; f.Any() {
		return m.networks.SetFirewall(ctx, f, init)
	}
	return nil
}

// startRoutes gives a VPS that starts its routes. A route that the kernel rejects
// is a warning, because addresses and networks may have changed since it was
// added, and the VPS starts without it.
func (m *Manager) startRoutes(v vps.VPS, plans []network.Plan, init inside.Identity) error {
	all := v.Routing
	if !all.Any() {
		return nil
	}
	if err := m.networks.SetRouting(all, plans, init); err == nil {
		return nil
	}
	kept := vps.Routing{Rules: all.Rules}
	for n, r := range all.Routes {
		next := kept
		next.Routes = append(slices.Clip(kept.Routes), r)
		err := m.networks.SetRouting(next, plans, init)
		switch {
		case err == nil:
			kept = next
		case fail.Is(err, fail.State):
			m.warn(fmt.Sprintf("%s starts without a route that it cannot have: %v (croft route %s remove %d)", v.Name, err, v.Name, n+1))
		default:
			return err
		}
	}
	return m.networks.SetRouting(kept, plans, init)
}

// publishAtStart makes the published ports of v lead to its interface, which exists
// now. It also restores the ports of other VPSs if another program removed them.
func (m *Manager) publishAtStart(ctx context.Context, v vps.VPS) error {
	if len(v.Published) > 0 {
		has, err := m.hostHas()
		if err != nil {
			return err
		}
		_, gone := tables.Partition(v.Published, has)
		for _, p := range gone {
			m.warn(fmt.Sprintf("%s starts without its published port %s: this host does not have the address %s now (croft network repair publishes it once it has)",
				v.Name, p, p.Host))
		}
	}
	if err := m.networks.CheckPorts(v.Published); err != nil {
		return err
	}
	return m.publishAll(ctx)
}
