package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// SetRouting makes croft's routes and rules in the network namespace of init
// match r. interfaces are those of the VPS. Routes and rules of the VPS's own
// stay, except for one in the place of a route of r. If r has no default route
// and the VPS has none, the network's default route is restored. A second call
// changes nothing.
func (h *Host) SetRouting(r vps.Routing, interfaces []network.Plan, init inside.Identity) error {
	if err := r.Check(); err != nil {
		return err
	}
	r, err := network.WithNextHops(r, interfaces)
	if err != nil {
		return err
	}
	ns, err := enterNamespace(init)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := ns.setRoutes(r.Routes); err != nil {
		return err
	}
	if err := ns.setRules(r.Rules); err != nil {
		return err
	}
	for _, p := range interfaces {
		if err := ns.ensureGateways(p); err != nil {
			return err
		}
	}
	return nil
}

// Routing says what routes and rules there are in the network namespace of
// init, those that r says among them.
func (h *Host) Routing(name vps.Name, r vps.Routing, interfaces []network.Plan, init inside.Identity) (network.RoutingInfo, error) {
	ns, err := enterNamespace(init)
	if err != nil {
		return network.RoutingInfo{}, err
	}
	defer ns.Close()
	var there vps.Routing
	routes, err := ns.routes()
	if err != nil {
		return network.RoutingInfo{}, err
	}
	for _, route := range routes {
		there.Routes = append(there.Routes, route.Route)
	}
	rules, err := ns.rules()
	if err != nil {
		return network.RoutingInfo{}, err
	}
	for _, rule := range rules {
		there.Rules = append(there.Rules, rule.RouteRule)
	}
	if full, err := network.WithNextHops(r, interfaces); err == nil { // routes without a next hop are missing then
		r = full
	}
	return network.LiveRouting(r, name, there), nil
}

// A kernelRoute is a route that is there, in both words.
type kernelRoute struct {
	vps.Route
	raw netlink.Route
}

// routes are all but those that the kernel itself keeps: its local table,
// multicast, and what comes with an address.
func (n *namespace) routes() ([]kernelRoute, error) {
	links, err := undisturbed(n.nl.LinkList)
	if err != nil {
		return nil, classify("list interfaces", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	var out []kernelRoute
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		all, err := undisturbed(func() ([]netlink.Route, error) {
			return n.nl.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, classify("list routes", err)
		}
		for _, r := range all {
			if r.Table == vps.TableLocal || r.Protocol == unix.RTPROT_KERNEL || r.Type != unix.RTN_UNICAST {
				continue
			}
			out = append(out, kernelRoute{routeOf(r, family, names), r})
		}
	}
	return out, nil
}

func routeOf(r netlink.Route, family int, names map[int]string) vps.Route {
	destination := "0.0.0.0/0"
	if family == unix.AF_INET6 {
		destination = "::/0"
	}
	if r.Dst != nil {
		if p, ok := prefixOfIPNet(r.Dst.IP, r.Dst.Mask); ok {
			destination = p.String()
		}
	}
	text := func(ip net.IP) string {
		if a, ok := netip.AddrFromSlice(ip); ok && !a.IsUnspecified() {
			return a.Unmap().String()
		}
		return ""
	}
	return vps.Route{Destination: destination, Via: text(r.Gw), Dev: names[r.LinkIndex], Src: text(r.Src), MTU: r.MTU, AdvMSS: r.AdvMSS,
		Table: r.Table, Metric: r.Priority}
}

func (n *namespace) setRoutes(want []vps.Route) error {
	there, err := n.routes()
	if err != nil {
		return err
	}
	for _, r := range want {
		if hasRoute(there, r) {
			continue
		}
		if err := n.putRoute(r); err != nil {
			return err
		}
	}
	if there, err = n.routes(); err != nil {
		return err
	}
	for _, k := range there {
		wanted := false
		for _, r := range want {
			wanted = wanted || network.IsRoute(r, k.Route)
		}
		if k.raw.Protocol != network.ProtocolCroft || wanted {
			continue
		}
		if err := n.nl.RouteDel(&k.raw); err != nil && !errors.Is(err, unix.ESRCH) {
			return classify("remove route "+k.Route.String(), err)
		}
	}
	return nil
}

func hasRoute(there []kernelRoute, r vps.Route) bool {
	for _, k := range there {
		if k.raw.Protocol == network.ProtocolCroft && network.IsRoute(r, k.Route) {
			return true
		}
	}
	return false
}

func (n *namespace) putRoute(r vps.Route) error {
	route := netlink.Route{Dst: ipNet(r.Prefix()), MTU: r.MTU, AdvMSS: r.AdvMSS, Table: r.TableNumber(), Priority: r.Metric, Protocol: network.ProtocolCroft}
	if via, err := netip.ParseAddr(r.Via); err == nil {
		route.Gw = via.AsSlice()
		if vps.NeedsOnLink(via) {
			route.Flags = int(netlink.FLAG_ONLINK)
		}
	}
	if r.Src != "" {
		route.Src = net.ParseIP(r.Src)
	}
	if r.Dev != "" {
		link, err := n.nl.LinkByName(r.Dev)
		if isNotFound(err) {
			return fail.New(fail.State, "route %s: there is no interface %s", r.Destination, r.Dev)
		}
		if err != nil {
			return classify("find "+r.Dev, err)
		}
		route.LinkIndex = link.Attrs().Index
		if r.Via == "" && !r.Prefix().Addr().Is6() {
			route.Scope = unix.RT_SCOPE_LINK
		}
	}
	err := n.nl.RouteReplace(&route)
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EINVAL) {
		return fail.New(fail.State, "route %s: the kernel rejected it; check that the next hop is on a network of the VPS and the source is its own address: %w", r, err)
	}
	return classify("add route "+r.String(), err)
}

// A kernelRule is a rule that is there, in both words.
type kernelRule struct {
	vps.RouteRule
	raw netlink.Rule
}

// rules are all but those that every kernel has.
func (n *namespace) rules() ([]kernelRule, error) {
	var out []kernelRule
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		all, err := undisturbed(func() ([]netlink.Rule, error) { return n.nl.RuleList(family) })
		if err != nil {
			return nil, classify("list routing rules", err)
		}
		for _, r := range all {
			if r.Protocol == unix.RTPROT_KERNEL {
				continue
			}
			r.Family = family
			text := func(p *net.IPNet) string {
				if p == nil {
					return ""
				}
				prefix, _ := prefixOfIPNet(p.IP, p.Mask)
				return prefix.String()
			}
			out = append(out, kernelRule{vps.RouteRule{From: text(r.Src), To: text(r.Dst), Table: r.Table, Priority: max(r.Priority, 0)}, r})
		}
	}
	return out, nil
}

func (n *namespace) setRules(want []vps.RouteRule) error {
	there, err := n.rules()
	if err != nil {
		return err
	}
	used := map[int]bool{}
	for i, k := range there {
		used[i] = k.raw.Protocol != network.ProtocolCroft // the VPS's own rules are not croft's
	}
	for _, r := range want {
		if network.Find(there, used, func(k kernelRule) bool { return network.IsRouteRule(r, k.RouteRule) }) >= 0 {
			continue
		}
		rule := netlink.NewRule()
		rule.Table, rule.Protocol, rule.Family = r.Table, network.ProtocolCroft, unix.AF_INET
		if r.IsIPv6() {
			rule.Family = unix.AF_INET6
		}
		if r.Priority > 0 {
			rule.Priority = r.Priority
		}
		if p, err := vps.ParsePrefix(r.From); err == nil {
			rule.Src = ipNet(p)
		}
		if p, err := vps.ParsePrefix(r.To); err == nil {
			rule.Dst = ipNet(p)
		}
		if err := n.nl.RuleAdd(rule); err != nil {
			return classify(fmt.Sprintf("add routing rule %s", r), err)
		}
	}
	for i, k := range there {
		if used[i] {
			continue
		}
		if err := n.nl.RuleDel(&k.raw); err != nil && !errors.Is(err, unix.ENOENT) {
			return classify(fmt.Sprintf("remove routing rule %s", k.RouteRule), err)
		}
	}
	return nil
}

// ensureGateways gives a VPS the routes of its network where it has none to
// the same destination.
func (n *namespace) ensureGateways(p network.Plan) error {
	if len(p.DefaultRoutes()) == 0 {
		return nil
	}
	there, err := n.routes()
	if err != nil {
		return err
	}
	link, err := n.nl.LinkByName(p.Interface)
	if isNotFound(err) {
		return nil // the VPS has taken it down for good
	}
	if err != nil {
		return classify("find "+p.Interface, err)
	}
	for _, w := range p.DefaultRoutes() {
		has := false
		for _, k := range there {
			has = has || k.TableNumber() == vps.TableMain && k.Prefix() == w.To
		}
		if !has {
			if err := n.addWay(link, w); err != nil {
				return err
			}
		}
	}
	return nil
}
