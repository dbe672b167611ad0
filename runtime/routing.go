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

// Routing says what routes and rules croft keeps for name, and which there
// really are.
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

// AddRoute adds a route. It and the other changes are applied to a running VPS
// and saved for its starts; if applying fails nothing is saved.
func (m *Manager) AddRoute(ctx context.Context, name string, r vps.Route) error {
	return m.changeRouting(ctx, name, func(all *vps.Routing) error {
		all.Routes = append(slices.Clip(all.Routes), r)
		return nil
	})
}

// AddRouteRule adds a rule.
func (m *Manager) AddRouteRule(ctx context.Context, name string, r vps.RouteRule) error {
	return m.changeRouting(ctx, name, func(all *vps.Routing) error {
		all.Rules = append(slices.Clip(all.Rules), r)
		return nil
	})
}

// RemoveRoutes removes the chosen routes and rules. Every choice is about the
// list before the first is removed. If one chooses none (fail.NotFound) or
// several (fail.Usage) nothing is removed.
func (m *Manager) RemoveRoutes(ctx context.Context, name string, chosen []RouteChoice) error {
	return m.changeRouting(ctx, name, func(all *vps.Routing) error {
		numbers, err := positions(chosen, func(c RouteChoice) (int, error) { return c.in(*all, name) })
		*all = vps.Routing{
			Routes: without(all.Routes, numbers, 0),
			Rules:  without(all.Rules, numbers, len(all.Routes)),
		}
		return err
	})
}

// FlushRoutes removes every route and rule of croft's; the network's default
// route comes back if one of them was in its place.
func (m *Manager) FlushRoutes(ctx context.Context, name string) error {
	return m.changeRouting(ctx, name, func(all *vps.Routing) error { *all = vps.Routing{}; return nil })
}

// ApplyRoutes puts back what somebody inside a running VPS took away.
func (m *Manager) ApplyRoutes(ctx context.Context, name string) error {
	return m.changeRouting(ctx, name, func(*vps.Routing) error { return nil })
}

func (m *Manager) changeRouting(ctx context.Context, name string, change func(*vps.Routing) error) error {
	return m.changeLive(ctx, name, func(v *vps.VPS) error {
		was := v.Routing.Routes
		if err := change(&v.Routing); err != nil {
			return err
		}
		if err := v.Routing.Check(); err != nil {
			return err
		}
		return m.checkNewRoutes(*v, was)
	}, func(ctx context.Context, v vps.VPS, init inside.Identity) error {
		plans, err := m.plans(v)
		if err != nil {
			return err
		}
		if err := m.networks.SetRouting(v.Routing, plans, init); err != nil {
			return err
		}
		m.followSettings(ctx, v)
		return nil
	})
}

// checkNewRoutes refuses a route of v that is not among was and that cannot
// work: the VPS would not have it at its next start.
func (m *Manager) checkNewRoutes(v vps.VPS, was []vps.Route) error {
	var more []vps.Route
	for _, r := range v.Routing.Routes {
		if !slices.Contains(was, r) {
			more = append(more, r)
		}
	}
	if len(more) == 0 {
		return nil
	}
	plans, err := m.plans(v)
	if err != nil {
		return err
	}
	for _, r := range more {
		if why := badRoute(v, r, plans); why != nil {
			return why
		}
	}
	return nil
}

// badRoute says why a route of v cannot work with interfaces as planned; nil if
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

// keepsRoutes refuses a change of interfaces that a route of v does not
// survive.
func keepsRoutes(v vps.VPS, was, now []network.Plan) error {
	for _, r := range v.Routing.Routes {
		if err := badRoute(v, r, now); err != nil && badRoute(v, r, was) == nil {
			return fail.New(fail.State, "%s needs what is removed: %w", v.Name, err).WithHint("croft route %s list", v.Name)
		}
	}
	return nil
}

// startRoutes gives a VPS that starts its routes. One that its kernel refuses
// is a warning: addresses and networks may have changed since it was added, and
// a VPS does not stay down for that.
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

// plans are the network's plans of v's interfaces, in their order.
func (m *Manager) plans(v vps.VPS) ([]network.Plan, error) {
	plugs, err := m.plugs(v)
	if err != nil {
		return nil, err
	}
	var all []network.Plan
	for _, p := range plugs {
		all = append(all, p.plan)
	}
	return all, nil
}
