package runtime

import (
	"context"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/network"
)

// Route and RouteRule are a VPS's routes and rules as they are saved;
// RoutingInfo is them as they really are, the VPS's own among them.
type (
	Route         = state.Route
	RouteRule     = state.RouteRule
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
	pid, err := m.livePID(name)
	if err != nil {
		return RoutingInfo{}, err
	}
	if pid == 0 {
		return routingOf(v).SavedInfo(name), nil
	}
	plans, err := m.plans(v)
	if err != nil {
		return RoutingInfo{}, err
	}
	return m.networks.Routing(name, routingOf(v), plans, pid)
}

// AddRoute adds a route. It and the other changes are applied to a running VPS
// and saved for its starts; if applying fails nothing is saved.
func (m *Manager) AddRoute(ctx context.Context, name string, r Route) error {
	return m.changeRouting(ctx, name, func(all *state.Routing) error {
		all.Routes = append(slices.Clip(all.Routes), r)
		return nil
	})
}

// AddRouteRule adds a rule.
func (m *Manager) AddRouteRule(ctx context.Context, name string, r RouteRule) error {
	return m.changeRouting(ctx, name, func(all *state.Routing) error {
		all.Rules = append(slices.Clip(all.Rules), r)
		return nil
	})
}

// RemoveRoutes removes the routes and rules of these numbers, the rules' going
// on from the routes'.
func (m *Manager) RemoveRoutes(ctx context.Context, name string, numbers []int) error {
	return m.changeRouting(ctx, name, func(all *state.Routing) error {
		last := len(all.Routes) + len(all.Rules)
		for _, n := range numbers {
			if n < 1 || n > last {
				return fail.New(fail.NotFound, "no route %d: %s", n, theLast(last)).WithHint("croft route %s list", name)
			}
		}
		var kept state.Routing
		for i, r := range all.Routes {
			if !slices.Contains(numbers, i+1) {
				kept.Routes = append(kept.Routes, r)
			}
		}
		for i, r := range all.Rules {
			if !slices.Contains(numbers, len(all.Routes)+i+1) {
				kept.Rules = append(kept.Rules, r)
			}
		}
		*all = kept
		return nil
	})
}

// FlushRoutes removes every route and rule of croft's; the network's default
// route comes back if one of them was in its place.
func (m *Manager) FlushRoutes(ctx context.Context, name string) error {
	return m.changeRouting(ctx, name, func(all *state.Routing) error { *all = state.Routing{}; return nil })
}

// ApplyRoutes puts back what somebody inside a running VPS took away.
func (m *Manager) ApplyRoutes(ctx context.Context, name string) error {
	return m.changeRouting(ctx, name, func(*state.Routing) error { return nil })
}

func (m *Manager) changeRouting(ctx context.Context, name string, change func(*state.Routing) error) error {
	return m.changeLive(ctx, name, func(v *state.VPS) error {
		if err := change(&v.Routing); err != nil {
			return err
		}
		return routingOf(*v).Check()
	}, func(ctx context.Context, v state.VPS, pid int) error {
		plans, err := m.plans(v)
		if err != nil {
			return err
		}
		if err := m.networks.SetRouting(routingOf(v), plans, pid); err != nil {
			return err
		}
		m.followSettings(ctx, v)
		return nil
	})
}

// plans are the network's plans of v's interfaces, in their order.
func (m *Manager) plans(v state.VPS) ([]network.Plan, error) {
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

func routingOf(v state.VPS) network.Routing {
	var out network.Routing
	for _, r := range v.Routing.Routes {
		out.Routes = append(out.Routes, network.Route(r))
	}
	for _, r := range v.Routing.Rules {
		out.Rules = append(out.Rules, network.RouteRule(r))
	}
	return out
}
