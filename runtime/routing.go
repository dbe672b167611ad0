package runtime

import (
	"context"
	"fmt"
	"slices"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// RoutingInfo is the routes and rules of a VPS as they really are, its own among
// them.
type (
	RoutingInfo   = network.RoutingInfo
	RouteInfo     = network.RouteInfo
	RouteRuleInfo = network.RouteRuleInfo
)

// Routing describes the routes and rules of the VPS name, and which really exist.
func (m *Manager) Routing(_ context.Context, name string) (RoutingInfo, error) {
	v, err := m.store.Get(name)
	if err != nil {
		return RoutingInfo{}, err
	}
	init, err := m.liveInit(name)
	if err != nil {
		return RoutingInfo{}, err
	}
	if init.PID == 0 {
		return network.SavedRouting(v.Routing, name), nil
	}
	plans, err := m.plans(v)
	if err != nil {
		return RoutingInfo{}, err
	}
	return m.networks.Routing(name, v.Routing, plans, init)
}

// applyRoutes makes the routes in a running VPS those of to.
func (c *change) applyRoutes(_ context.Context, _, to side) error {
	plans, err := to.plans()
	if err != nil {
		return err
	}
	return c.networks.SetRouting(to.Routing, plans, c.init)
}

// checkRoutes rejects a new route that cannot work, since the VPS would not have it
// at its next start, and a change of addresses that a route does not survive.
func (c *change) checkRoutes() error {
	for _, r := range c.now.Routing.Routes {
		added := !slices.Contains(c.was.Routing.Routes, r)
		if !added && !c.parts[vps.PartAddresses] {
			continue
		}
		plans, err := c.now.plans()
		if err != nil {
			return err
		}
		why := badRoute(c.now.VPS, r, plans)
		switch {
		case why == nil:
		case added:
			return why
		default:
			if before, err := c.was.plans(); err == nil && badRoute(c.was.VPS, r, before) == nil {
				return fail.New(fail.State, "%s needs what is removed: %w", c.now.Name, why).WithHint("croft route %s list", c.now.Name)
			}
		}
	}
	return nil
}

// badRoute returns why a route of v cannot work with interfaces as planned; nil if
// it can.
func badRoute(v vps.VPS, r vps.Route, plans []network.Plan) error {
	var rest vps.Routing
	for _, o := range v.Routing.Routes {
		if o == r || o.Via == "" {
			rest.Routes = append(rest.Routes, o)
		}
	}
	return network.CheckRoutes(rest, plans)
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

// plans are the plans of v's interfaces, in their order.
func (m *Manager) plans(v vps.VPS) ([]network.Plan, error) {
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return nil, err
	}
	var all []network.Plan
	for _, p := range plugs {
		all = append(all, p.Plan)
	}
	return all, nil
}
