package network

import (
	"net/netip"
	"slices"

	"croft/internal/fail"
	"croft/internal/vps"
)

// CheckRoutes returns fail.State for a route of r that a VPS with these
// interfaces cannot have: its next hop is on no network of the VPS, or its
// source is not an address of the VPS. Where only the guest knows the addresses
// of an interface, the route is accepted.
func CheckRoutes(r vps.Routing, interfaces []Plan) error {
	full, err := WithNextHops(r, interfaces)
	if err != nil {
		return err
	}
	for _, route := range full.Routes {
		if err := checkRoute(route, interfaces, full.Routes); err != nil {
			return err
		}
	}
	return nil
}

func checkRoute(r vps.Route, interfaces []Plan, all []vps.Route) error {
	no := func(why string, args ...any) error {
		return fail.New(fail.State, "route %s: "+why, append([]any{r.Destination}, args...)...)
	}
	if r.Dev == "lo" {
		return nil
	}
	var on []Plan
	for _, p := range interfaces {
		if r.Dev == "" || r.Dev == p.Interface {
			on = append(on, p)
		}
	}
	if len(on) == 0 {
		return no("the VPS has no interface %s", r.Dev)
	}
	guests := func(p Plan) bool { return len(p.Addresses) == 0 }
	if src, err := netip.ParseAddr(r.Src); err == nil && !slices.ContainsFunc(interfaces, func(p Plan) bool { return guests(p) || p.has(src) }) {
		return no("its source %s is not an address of the VPS", src)
	}
	via, err := netip.ParseAddr(r.Via)
	if err != nil || slices.ContainsFunc(on, func(p Plan) bool { return guests(p) || p.reaches(via) }) {
		return nil
	}
	for _, o := range all { // a route without a next hop makes its destination reachable on a link
		if o.Via == "" && o.Prefix().Contains(via) {
			return nil
		}
	}
	return no("its next hop %s is on no network of the VPS", via)
}

func (p Plan) has(a netip.Addr) bool {
	return slices.ContainsFunc(p.Addresses, func(q netip.Prefix) bool { return q.Addr() == a })
}

// reaches reports whether a is on p's link, as the kernel sees it.
func (p Plan) reaches(a netip.Addr) bool {
	if p.has(a) {
		return false
	}
	if slices.Contains(p.Gateways, a) || vps.NeedsOnLink(a) || a.Is6() && a.IsLinkLocalUnicast() && p.HasIPv6() {
		return true
	}
	return slices.ContainsFunc(p.Addresses, func(q netip.Prefix) bool { return q.Contains(a) })
}

// CanPublish reports whether a host with these addresses can publish p: it has
// the address of p, or would route it to a VPS and no VPS owns it. routed are the
// networks of mode routed.
func CanPublish(p vps.Publication, host []netip.Addr, routed []Table) bool {
	a := p.HostAddr()
	if p.OnEveryAddress() || a.IsLoopback() || slices.Contains(host, a) {
		return true
	}
	return slices.ContainsFunc(routed, func(t Table) bool {
		_, owned := t.Owner(a)
		return t.Mode == ModeRouted && t.Has(a) && !owned
	})
}
