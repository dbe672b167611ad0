package vps

import "slices"

// AddRoute adds a route. A route that the VPS has already is a no-op.
type AddRoute struct{ Route Route }

// Apply appends the route.
func (e AddRoute) Apply(v *VPS) error {
	if !slices.Contains(v.Routing.Routes, e.Route) {
		v.Routing.Routes = append(v.Routing.Routes, e.Route)
	}
	return nil
}

// Part is the routes.
func (AddRoute) Part() Part { return PartRouting }

func (e AddRoute) String() string { return "add route " + e.Route.String() }

// AddRouteRule adds a routing rule. A rule that the VPS has already is a no-op.
type AddRouteRule struct{ Rule RouteRule }

// Apply appends the rule.
func (e AddRouteRule) Apply(v *VPS) error {
	if !slices.Contains(v.Routing.Rules, e.Rule) {
		v.Routing.Rules = append(v.Routing.Rules, e.Rule)
	}
	return nil
}

// Part is the routes.
func (AddRouteRule) Part() Part { return PartRouting }

func (e AddRouteRule) String() string { return "add rule " + e.Rule.String() }

// RemoveRoutes removes the chosen routes and routing rules. Every choice is about
// the list before the first removal. A choice of none is fail.NotFound, one of
// several fail.Usage.
type RemoveRoutes struct{ Chosen []RouteChoice }

// Apply removes the entries.
func (e RemoveRoutes) Apply(v *VPS) error {
	all := v.Routing
	numbers, err := positions(e.Chosen, func(c RouteChoice) (int, error) { return c.in(all, v.Name) })
	v.Routing = Routing{
		Routes: without(all.Routes, numbers, 0),
		Rules:  without(all.Rules, numbers, len(all.Routes)),
	}
	return err
}

// Part is the routes.
func (RemoveRoutes) Part() Part { return PartRouting }

func (e RemoveRoutes) String() string { return "remove routes " + texts(e.Chosen) }

// FlushRoutes removes all routes and routing rules of croft. The default route of
// the network comes back if one of them replaced it.
type FlushRoutes struct{}

// Apply removes all entries.
func (FlushRoutes) Apply(v *VPS) error {
	v.Routing = Routing{}
	return nil
}

// Part is the routes.
func (FlushRoutes) Part() Part { return PartRouting }

func (FlushRoutes) String() string { return "flush routes" }
