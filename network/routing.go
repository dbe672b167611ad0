package network

import (
	"fmt"
	"net/netip"
	"strings"

	"croft/internal/fail"
)

// A Routing is what croft adds to the routes and rules of a VPS, in the VPS's
// own network namespace. The zero value is nothing.
type Routing struct {
	Routes []Route
	Rules  []RouteRule
}

// A Route is one entry of a routing table. Without Via and Dev it goes the way
// of the VPS's gateway, whatever that is.
type Route struct {
	Destination string // a prefix; 0.0.0.0/0 and ::/0 are everything
	Via         string // the next hop; "" is none
	Dev         string // the interface inside; "" is the one that Via is on
	Src         string // the source address of what the VPS itself sends; "" is the kernel's choice
	MTU         int    // 0 is the interface's
	AdvMSS      int    // of TCP, announced to the other side; 0 follows from the MTU
	Table       int    // 0 is main
	Metric      int    // 0 is the kernel's own
}

// A RouteRule says for which packets a table is looked at.
type RouteRule struct {
	From, To string // prefixes; "" is any, but not both
	Table    int
	Priority int // lower ones come first; 0 is the kernel's choice, before the tables that are there anyway
}

// Tables of routes that every kernel has.
const (
	tableMain  = 254
	tableLocal = 255
)

// Any reports whether there is anything to apply.
func (r Routing) Any() bool { return len(r.Routes)+len(r.Rules) > 0 }

// Check refuses with fail.Usage what can be no route or rule.
func (r Routing) Check() error {
	for i, route := range r.Routes {
		if err := route.check(); err != nil {
			return fail.New(fail.Usage, "route %s: %w", route.Destination, err)
		}
		for _, other := range r.Routes[:i] {
			if route.sameEntry(other) {
				return fail.New(fail.Usage, "route %s: there is one in table %d already", route.Destination, route.table())
			}
		}
	}
	for _, rule := range r.Rules {
		if err := rule.check(); err != nil {
			return fail.New(fail.Usage, "routing rule: %w", err)
		}
	}
	return nil
}

// sameEntry: the kernel has one route for each destination, table and metric.
func (r Route) sameEntry(o Route) bool {
	return r.prefix() == o.prefix() && r.table() == o.table() && r.Metric == o.Metric
}

func (r Route) table() int {
	if r.Table == 0 {
		return tableMain
	}
	return r.Table
}

// prefix is the destination; Check vouches for it.
func (r Route) prefix() netip.Prefix {
	p, _ := ruleAddress(r.Destination)
	return p
}

// minMTU is what the protocols ask of any link (RFC 791, RFC 8200 section 5).
func minMTU(six bool) int {
	if six {
		return 1280
	}
	return 68
}

const maxMTU = 65535

func (r Route) check() error {
	p, err := ruleAddress(r.Destination)
	if err != nil {
		return err
	}
	if !p.IsValid() || p.Addr().IsMulticast() {
		return fmt.Errorf("invalid destination %q", r.Destination)
	}
	six := p.Addr().Is6()
	for what, s := range map[string]string{"via": r.Via, "src": r.Src} {
		if s == "" {
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() {
			return fmt.Errorf("%s: invalid address %q", what, s)
		}
		if a.Is6() != six {
			return fmt.Errorf("%s %s is of another family", what, s)
		}
	}
	if r.Dev != "" && checkLinkName(r.Dev) != nil {
		return fmt.Errorf("invalid interface %q", r.Dev)
	}
	if r.MTU != 0 && (r.MTU < minMTU(six) || r.MTU > maxMTU) {
		return fmt.Errorf("mtu %d is out of range: %d to %d", r.MTU, minMTU(six), maxMTU)
	}
	if r.AdvMSS < 0 || r.AdvMSS > maxMTU {
		return fmt.Errorf("advmss %d is out of range", r.AdvMSS)
	}
	if r.Metric < 0 || int64(r.Metric) > 1<<32-1 {
		return fmt.Errorf("metric %d is out of range", r.Metric)
	}
	return checkTable(r.Table)
}

func checkTable(table int) error {
	if table < 0 || int64(table) > 1<<32-1 || table == tableLocal {
		return fmt.Errorf("table %d is reserved and takes no routes", table)
	}
	return nil
}

func (r RouteRule) check() error {
	from, err := ruleAddress(r.From)
	if err != nil {
		return err
	}
	to, err := ruleAddress(r.To)
	switch {
	case err != nil:
		return err
	case !from.IsValid() && !to.IsValid():
		return fmt.Errorf("it says neither from nor to")
	case from.IsValid() && to.IsValid() && from.Addr().Is6() != to.Addr().Is6():
		return fmt.Errorf("%s and %s are of different families", r.From, r.To)
	case r.Table == 0:
		return fmt.Errorf("it says no table")
	case r.Priority < 0 || r.Priority > 32767:
		return fmt.Errorf("priority %d is out of range: 1 to 32767", r.Priority)
	}
	return checkTable(r.Table)
}

func (r RouteRule) isIPv6() bool {
	for _, s := range []string{r.From, r.To} {
		if p, _ := ruleAddress(s); p.IsValid() {
			return p.Addr().Is6()
		}
	}
	return false
}

// Of returns the routes of the interface p, in words of ip-route(8), their
// way filled in; interfaces are all of the VPS's. Those that say no interface
// belong to the one that their next hop is on, or to the first.
func (r Routing) Of(p Plan, interfaces []Plan) []string {
	full, err := r.through(interfaces)
	if err != nil {
		return nil // there is no way, so nothing to keep
	}
	var out []string
	for _, route := range full.Routes {
		dev := route.Dev
		if dev == "" {
			dev = interfaceOf(route.Via, interfaces)
		}
		if dev == p.Interface {
			out = append(out, fmt.Sprintf("%s protocol %d", route, protocolCroft))
		}
	}
	return out
}

func interfaceOf(via string, interfaces []Plan) string {
	a, _ := netip.ParseAddr(via) // Check vouches for it
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

// through fills in the way of routes that say none: the gateway of the first
// of a VPS's interfaces that has one of the family.
func (r Routing) through(interfaces []Plan) (Routing, error) {
	out := Routing{Rules: r.Rules}
	for _, route := range r.Routes {
		if route.Via == "" && route.Dev == "" {
			route.Via, route.Dev = gatewayFor(route.prefix().Addr().Is6(), interfaces)
			if route.Via == "" {
				return Routing{}, fail.New(fail.State, "route %s: the VPS has no gateway of this family", route.Destination)
			}
		}
		out.Routes = append(out.Routes, route)
	}
	return out, nil
}

func gatewayFor(six bool, interfaces []Plan) (via, dev string) {
	for _, p := range interfaces {
		for _, w := range p.Ways() {
			if w.To.Bits() == 0 && w.Via.Is6() == six {
				return w.Via.String(), p.Interface
			}
		}
	}
	return "", ""
}

// String is what to type inside, one object a line.
func (r Routing) String() string {
	var b strings.Builder
	for _, route := range r.Routes {
		fmt.Fprintf(&b, "ip route replace %s proto %d\n", route, protocolCroft)
	}
	for _, rule := range r.Rules {
		fmt.Fprintf(&b, "ip rule add %s protocol %d\n", rule, protocolCroft)
	}
	return b.String()
}

// String is the route in words of ip-route(8).
func (r Route) String() string {
	words := []string{r.Destination}
	add := func(key, value string) {
		if value != "" && value != "0" {
			words = append(words, key, value)
		}
	}
	add("via", r.Via)
	add("dev", r.Dev)
	if via, err := netip.ParseAddr(r.Via); err == nil && onLink(via) {
		words = append(words, "onlink")
	}
	add("src", r.Src)
	add("mtu", fmt.Sprint(r.MTU))
	add("advmss", fmt.Sprint(r.AdvMSS))
	add("table", fmt.Sprint(r.Table))
	add("metric", fmt.Sprint(r.Metric))
	return strings.Join(words, " ")
}

// String is the rule in words of ip-rule(8).
func (r RouteRule) String() string {
	words := []string{}
	for _, w := range [][2]string{{"from", r.From}, {"to", r.To}, {"table", fmt.Sprint(r.Table)}, {"priority", fmt.Sprint(r.Priority)}} {
		if w[1] != "" && w[1] != "0" {
			words = append(words, w[0], w[1])
		}
	}
	return strings.Join(words, " ")
}

// protocolCroft marks routes and rules of croft's (rtm_protocol, above those
// that linux/rtnetlink.h names): so they are told from the VPS's own.
const protocolCroft = 201

// says reports whether a route that is there, there being what the kernel made
// of it, is the wanted one.
func (r Route) says(there Route) bool {
	metric := r.Metric
	if metric == 0 && r.prefix().Addr().Is6() {
		metric = 1024 // IP6_RT_PRIO_USER
	}
	same := func(want, is string) bool { return want == "" || want == is }
	return r.prefix() == there.prefix() && r.table() == there.table() && metric == there.Metric &&
		r.Via == there.Via && same(r.Dev, there.Dev) && r.Src == there.Src && r.MTU == there.MTU && r.AdvMSS == there.AdvMSS
}

func (r RouteRule) says(there RouteRule) bool {
	return canonical(r.From) == there.From && canonical(r.To) == there.To && r.Table == there.Table &&
		(r.Priority == 0 || r.Priority == there.Priority)
}

func canonical(s string) string {
	if p, _ := ruleAddress(s); p.IsValid() {
		return p.String()
	}
	return ""
}

// destinationDefault stands for all addresses of either family, where a route
// is chosen.
const destinationDefault = "default"

// Matches reports whether r is as chosen, of which an empty field stands for
// any value and the destination "default" for that of either family.
func (r Route) Matches(chosen Route) bool {
	if chosen.Destination == destinationDefault {
		if r.prefix().Bits() != 0 {
			return false
		}
	} else if r.prefix() != chosen.prefix() {
		return false
	}
	return matches(canonical(chosen.Via), canonical(r.Via)) && matches(chosen.Dev, r.Dev) && matches(canonical(chosen.Src), canonical(r.Src)) &&
		matches(chosen.MTU, r.MTU) && matches(chosen.AdvMSS, r.AdvMSS) && matches(chosen.Metric, r.Metric) &&
		(chosen.Table == 0 || chosen.table() == r.table())
}

// Matches reports whether r is as chosen, of which an empty field stands for
// any value.
func (r RouteRule) Matches(chosen RouteRule) bool {
	return matches(canonical(chosen.From), canonical(r.From)) && matches(canonical(chosen.To), canonical(r.To)) &&
		matches(chosen.Table, r.Table) && matches(chosen.Priority, r.Priority)
}

// matches reports whether a field is as chosen; the zero value stands for any.
func matches[T comparable](chosen, is T) bool {
	var anything T
	return chosen == anything || chosen == is
}
