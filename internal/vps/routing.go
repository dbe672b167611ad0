package vps

import (
	"fmt"
	"net/netip"
	"strings"

	"croft/internal/fail"
)

// A Routing is the routes and routing rules that croft adds in the VPS's own
// network namespace. The zero value adds none.
type Routing struct {
	Routes []Route     `json:"routes,omitempty"`
	Rules  []RouteRule `json:"rules,omitempty"`
}

// A Route is one entry of a routing table. Without Via and Dev it uses the
// gateway of the VPS, whichever that is.
type Route struct {
	Destination string `json:"destination"`      // a prefix; 0.0.0.0/0 and ::/0 are everything
	Via         string `json:"via,omitempty"`    // the next hop; "" is none
	Dev         string `json:"dev,omitempty"`    // the interface inside; "" is the interface that Via is on
	Src         string `json:"src,omitempty"`    // the source address of what the VPS itself sends; "" lets the kernel choose
	MTU         int    `json:"mtu,omitempty"`    // 0 is the MTU of the interface
	AdvMSS      int    `json:"advmss,omitempty"` // of TCP, announced to the other side; 0 follows from the MTU
	Table       int    `json:"table,omitempty"`  // 0 is TableMain
	Metric      int    `json:"metric,omitempty"` // 0 is the kernel's default
}

// A RouteRule says for which packets the kernel uses a table.
type RouteRule struct {
	From     string `json:"from,omitempty"` // a prefix; "" is any. One of From and To is needed
	To       string `json:"to,omitempty"`
	Table    int    `json:"table"`
	Priority int    `json:"priority,omitempty"` // lower ones come first; with 0 the kernel puts it before the rules that exist
}

// The routing tables that every kernel has.
const (
	TableMain  = 254
	TableLocal = 255
)

// Any reports whether there is a route or a rule.
func (r Routing) Any() bool { return len(r.Routes)+len(r.Rules) > 0 }

// Check returns fail.Usage for an invalid route or rule and names it.
func (r Routing) Check() error {
	for i, route := range r.Routes {
		if err := route.check(); err != nil {
			return fail.New(fail.Usage, "route %s: %w", route.Destination, err)
		}
		for _, other := range r.Routes[:i] {
			if route.sameEntry(other) {
				return fail.New(fail.Usage, "route %s: there is one in table %d already", route.Destination, route.TableNumber())
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

// sameEntry reports whether the kernel would replace one by the other: it has
// one route for each destination, table and metric.
func (r Route) sameEntry(o Route) bool {
	return r.Prefix() == o.Prefix() && r.TableNumber() == o.TableNumber() && r.Metric == o.Metric
}

// TableNumber is the number of the table.
func (r Route) TableNumber() int {
	if r.Table == 0 {
		return TableMain
	}
	return r.Table
}

// Prefix is the destination of a valid route.
func (r Route) Prefix() netip.Prefix {
	p, _ := ParsePrefix(r.Destination) // Check has checked it
	return p
}

// minMTU is the smallest MTU of a link (RFC 791, RFC 8200 section 5).
func minMTU(six bool) int {
	if six {
		return 1280
	}
	return 68
}

const maxMTU = 65535

func (r Route) check() error {
	p, err := ParsePrefix(r.Destination)
	if err != nil {
		return err
	}
	if p.Addr().IsMulticast() {
		return fmt.Errorf("invalid destination %q", r.Destination)
	}
	six := p.Addr().Is6()
	for _, hop := range [][2]string{{"via", r.Via}, {"src", r.Src}} {
		what, s := hop[0], hop[1]
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
	if r.Dev != "" {
		if err := CheckLinkName(r.Dev); err != nil {
			return err
		}
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
	if table < 0 || int64(table) > 1<<32-1 || table == TableLocal {
		return fmt.Errorf("table %d is reserved and takes no routes", table)
	}
	return nil
}

func (r RouteRule) check() error {
	of, err := family(r.From, r.To)
	switch {
	case err != nil:
		return err
	case of == 0:
		return fmt.Errorf("it says neither from nor to")
	case r.Table == 0:
		return fmt.Errorf("it says no table")
	case r.Priority < 0 || r.Priority > 32767:
		return fmt.Errorf("priority %d is out of range: 1 to 32767", r.Priority)
	}
	return checkTable(r.Table)
}

// IsIPv6 reports whether a valid rule is about IPv6.
func (r RouteRule) IsIPv6() bool {
	of, _ := family(r.From, r.To) // Check has checked both
	return of == 6
}

// NeedsOnLink reports whether a route by this next hop needs the word onlink:
// no prefix of an interface says that the address is on the link. The kernel
// knows that of the link-local addresses of IPv6.
func NeedsOnLink(via netip.Addr) bool { return via.Is4() && via.IsLinkLocalUnicast() }

// String is the route in the words of ip-route(8).
func (r Route) String() string {
	words := []string{r.Destination}
	add := func(key, value string) {
		if value != "" && value != "0" {
			words = append(words, key, value)
		}
	}
	add("via", r.Via)
	add("dev", r.Dev)
	if via, err := netip.ParseAddr(r.Via); err == nil && NeedsOnLink(via) {
		words = append(words, "onlink")
	}
	add("src", r.Src)
	add("mtu", fmt.Sprint(r.MTU))
	add("advmss", fmt.Sprint(r.AdvMSS))
	add("table", fmt.Sprint(r.Table))
	add("metric", fmt.Sprint(r.Metric))
	return strings.Join(words, " ")
}

// String is the rule in the words of ip-rule(8).
func (r RouteRule) String() string {
	words := []string{}
	for _, w := range [][2]string{{"from", r.From}, {"to", r.To}, {"table", fmt.Sprint(r.Table)}, {"priority", fmt.Sprint(r.Priority)}} {
		if w[1] != "" && w[1] != "0" {
			words = append(words, w[0], w[1])
		}
	}
	return strings.Join(words, " ")
}

// DestinationDefault, in a route that chooses others, is all addresses of
// either family.
const DestinationDefault = "default"

// Matches reports whether r is a route that chosen chooses. An empty field of
// chosen stands for any value, and the destination "default" for everything in
// either family.
func (r Route) Matches(chosen Route) bool {
	if chosen.Destination == DestinationDefault {
		if r.Prefix().Bits() != 0 {
			return false
		}
	} else if r.Prefix() != chosen.Prefix() {
		return false
	}
	return matches(CanonicalPrefix(chosen.Via), CanonicalPrefix(r.Via)) && matches(chosen.Dev, r.Dev) &&
		matches(CanonicalPrefix(chosen.Src), CanonicalPrefix(r.Src)) &&
		matches(chosen.MTU, r.MTU) && matches(chosen.AdvMSS, r.AdvMSS) && matches(chosen.Metric, r.Metric) &&
		(chosen.Table == 0 || chosen.TableNumber() == r.TableNumber())
}

// Matches reports whether r is a rule that chosen chooses. An empty field of
// chosen stands for any value.
func (r RouteRule) Matches(chosen RouteRule) bool {
	return matches(CanonicalPrefix(chosen.From), CanonicalPrefix(r.From)) &&
		matches(CanonicalPrefix(chosen.To), CanonicalPrefix(r.To)) &&
		matches(chosen.Table, r.Table) && matches(chosen.Priority, r.Priority)
}

// matches reports whether a field has the chosen value. The zero value stands
// for any.
func matches[T comparable](chosen, is T) bool {
	var anything T
	return chosen == anything || chosen == is
}
