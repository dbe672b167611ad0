package network

import (
	"fmt"
	"net/netip"
	"strings"

	"croft/internal/fail"
	"croft/internal/vps"
)

// RoutesOf returns the routes of r that belong to the interface p, in the words
// of ip-route(8), each with its next hop; interfaces are all of the VPS. A route
// without an interface belongs to the interface that its next hop is on, or to
// the first.
func RoutesOf(r vps.Routing, p Plan, interfaces []Plan) []string {
	full, err := WithNextHops(r, interfaces)
	if err != nil {
		return nil // a route has no next hop, so there is nothing to keep
	}
	var out []string
	for _, route := range full.Routes {
		dev := route.Dev
		if dev == "" {
			dev = interfaceOf(route.Via, interfaces)
		}
		if dev == p.Interface {
			out = append(out, fmt.Sprintf("%s protocol %d", route, ProtocolCroft))
		}
	}
	return out
}

func interfaceOf(via string, interfaces []Plan) string {
	a, _ := netip.ParseAddr(via) // Check has checked it
	for _, p := range interfaces {
		for _, own := range p.Addresses {
			if own.Masked().Contains(a) {
				return p.Interface
			}
		}
	}
	if len(interfaces) == 0 {
		return ""
	}
	return interfaces[0].Interface
}

// withNextHops gives routes without a next hop and an interface the gateway of
// the first interface that has a gateway of the family.
func WithNextHops(r vps.Routing, interfaces []Plan) (vps.Routing, error) {
	out := vps.Routing{Rules: r.Rules}
	for _, route := range r.Routes {
		if route.Via == "" && route.Dev == "" {
			route.Via, route.Dev = gatewayFor(route.Prefix().Addr().Is6(), interfaces)
			if route.Via == "" {
				return vps.Routing{}, fail.New(fail.State, "route %s: the VPS has no gateway of this family", route.Destination)
			}
		}
		out.Routes = append(out.Routes, route)
	}
	return out, nil
}

func gatewayFor(six bool, interfaces []Plan) (via, dev string) {
	for _, p := range interfaces {
		for _, w := range p.DefaultRoutes() {
			if w.To.Bits() == 0 && w.Via.Is6() == six {
				return w.Via.String(), p.Interface
			}
		}
	}
	return "", ""
}

// routingText is r in the words of ip(8), one command a line.
func routingText(r vps.Routing) string {
	var b strings.Builder
	for _, route := range r.Routes {
		fmt.Fprintf(&b, "ip route replace %s proto %d\n", route, ProtocolCroft)
	}
	for _, rule := range r.Rules {
		fmt.Fprintf(&b, "ip rule add %s protocol %d\n", rule, ProtocolCroft)
	}
	return b.String()
}

// protocolCroft marks routes and rules of croft (rtm_protocol, above those that
// linux/rtnetlink.h names). It tells them from the VPS's own.
const ProtocolCroft = 201

// isRoute reports whether there, a route as the kernel lists it, is the wanted
// route r.
func IsRoute(r, there vps.Route) bool {
	metric := r.Metric
	if metric == 0 && r.Prefix().Addr().Is6() {
		metric = 1024 // IP6_RT_PRIO_USER
	}
	same := func(want, is string) bool { return want == "" || want == is }
	return r.Prefix() == there.Prefix() && r.TableNumber() == there.TableNumber() && metric == there.Metric &&
		r.Via == there.Via && same(r.Dev, there.Dev) && r.Src == there.Src && r.MTU == there.MTU && r.AdvMSS == there.AdvMSS
}

// isRouteRule is isRoute for a rule.
func IsRouteRule(r, there vps.RouteRule) bool {
	return vps.CanonicalPrefix(r.From) == there.From && vps.CanonicalPrefix(r.To) == there.To && r.Table == there.Table &&
		(r.Priority == 0 || r.Priority == there.Priority)
}
