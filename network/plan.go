package network

import (
	"fmt"
	"net"
	"net/netip"

	"croft/internal/vps"
)

// A Plan is everything that one interface of a VPS needs: its place on the
// host, and its own settings. It is a value; String says it in words that a
// person can type.
type Plan struct {
	Network   string
	Mode      Mode
	Owner     vps.Name
	Interface string // inside: eth0
	HostLink  string // the host's end; "" in modes that have none
	Bridge    string // that HostLink is a port of; "" in other modes
	Foreign   bool   // the bridge is the administrator's
	Parent    string // routed: the uplink that answers for the addresses; macvlan, physical: where the interface comes from
	Segment   bool   // it hears what other VPSs send to groups
	Private   bool   // it does not reach other VPSs of its network
	MAC       net.HardwareAddr
	HostMAC   net.HardwareAddr // of the host's end; nil: the kernel's choice
	Addresses []netip.Prefix   // with the length that they have inside, IPv4 first
	Gateways  []netip.Addr     // at most one of each family that Addresses has
	Near      []netip.Prefix   // reached by the network's gateway, although the default route uses another interface
	MTU       int              // 0 leaves the kernel's
	Rate      vps.Rate
	// Connections is how many connections the interface may have in the host's
	// table at once: 0 is the default, UnlimitedConnections no bound.
	Connections int64
}

// NewPlan returns what c needs in t. An error is a claim that is not t's.
func NewPlan(t Table, c Claim) (Plan, error) {
	p := Plan{Network: t.Name, Mode: t.Mode, Owner: c.Owner, Interface: c.Interface}
	if t.Mode == ModeNone {
		return p, nil
	}
	var mac net.HardwareAddr
	var err error
	if t.Mode != ModePhysical { // which has one of its own
		if mac, err = ParseMAC(c.MAC); err != nil {
			return Plan{}, fmt.Errorf("plan %s of %s: %w", c.Interface, c.Owner, err)
		}
	}
	if t.HasPorts() {
		if err := checkHostLink(c.HostLink); err != nil {
			return Plan{}, fmt.Errorf("plan %s of %s: %w", c.Interface, c.Owner, err)
		}
		p.HostLink, p.Connections = c.HostLink, c.Connections
	}
	p.Bridge, p.Foreign, p.Parent, p.MAC, p.MTU = t.Bridge, t.Foreign, t.Parent, mac, t.MTU
	p.Segment, p.Private = t.Segment, t.Private
	if t.Mode == ModeRouted {
		if p.HostMAC, err = ParseMAC(t.MAC); err != nil {
			return Plan{}, fmt.Errorf("plan %s of %s: %w", c.Interface, c.Owner, err)
		}
	}
	var four, six bool
	for _, a := range c.Addresses {
		if why := t.unusable(a); why != "" {
			return Plan{}, fmt.Errorf("plan %s of %s: address %s %s", c.Interface, c.Owner, a, why)
		}
		p.Addresses = append(p.Addresses, t.WithBits(a))
		four, six = four || a.Is4(), six || a.Is6()
	}
	for _, g := range []struct {
		has     bool
		gateway netip.Addr
	}{{four, t.Gateway4()}, {six, t.Gateway6()}} {
		if g.has && g.gateway.IsValid() {
			p.Gateways = append(p.Gateways, g.gateway)
		}
	}
	return p, nil
}

// Beside returns p as a second interface of a VPS: the way out is the first
// one's. What a prefix on the link would reach is still reached through it.
func (p Plan) AsSecondary(t Table) Plan {
	if p.Mode == ModeRouted {
		for _, prefix := range []netip.Prefix{t.IPv4, t.IPv6} {
			if _, ok := p.via(prefix); ok {
				p.Near = append(p.Near, prefix)
			}
		}
		return p
	}
	p.Gateways = nil
	return p
}

// OnLAN reports whether machines other than croft's VPSs know the interface's
// addresses.
func (p Plan) OnLAN() bool {
	return p.Mode == ModeMACVLAN || p.Mode == ModePhysical || p.Foreign || p.Mode == ModeRouted && p.Parent != ""
}

// AnswersHost reports whether the host can probe the interface's addresses. The
// host cannot reach a macvlan or a link that it has given away. In a routed
// network the first interface of a VPS answers for the second one.
func (p Plan) AnswersHost() bool { return p.HasPort() && len(p.Near) == 0 }

// via returns the gateway of a prefix's family.
func (p Plan) via(prefix netip.Prefix) (netip.Addr, bool) {
	for _, g := range p.Gateways {
		if prefix.IsValid() && g.Is4() == prefix.Addr().Is4() {
			return g, true
		}
	}
	return netip.Addr{}, false
}

// A DefaultRoute is a route through an interface's gateway.
type DefaultRoute struct {
	To  netip.Prefix // zero bits: the default route
	Via netip.Addr
}

// DefaultRoutes returns the routes of the interface: default routes, or, if
// another interface has these, routes to the prefixes in Near.
func (p Plan) DefaultRoutes() []DefaultRoute {
	var out []DefaultRoute
	for _, g := range p.Gateways {
		near := p.Near
		if len(near) == 0 {
			near = []netip.Prefix{everywhere(g)}
		}
		for _, prefix := range near {
			if prefix.Addr().Is4() == g.Is4() {
				out = append(out, DefaultRoute{prefix, g})
			}
		}
	}
	return out
}

// everywhere is the prefix of all addresses of a's family.
func everywhere(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// Alias is the ifalias of the host link: whose it is, beyond what 15 bytes say.
func (p Plan) Alias() string {
	return fmt.Sprintf("croft %s %s %s", p.Network, p.Owner, p.Interface)
}

// hasPort: the interface has an end on the host, with filters at it.
func (p Plan) HasPort() bool { return p.HostLink != "" }

// Family returns the family of the table that filters the port.
func (p Plan) Family() Family { return familyOfMode(p.Mode) }

// own are the addresses that are the VPS's alone: those of the table, and its
// link-local one.
func (p Plan) OwnAddresses() []netip.Addr {
	var out []netip.Addr
	for _, a := range p.Addresses {
		out = append(out, a.Addr())
	}
	if p.HasIPv6() && len(p.MAC) == 6 {
		out = append(out, LinkLocal(p.MAC))
	}
	return out
}

// HasIPv6 reports whether the interface has an IPv6 address.
func (p Plan) HasIPv6() bool {
	for _, a := range p.Addresses {
		if a.Addr().Is6() {
			return true
		}
	}
	return false
}

// A Neighbour is an entry in the host's neighbour table. With it the host knows
// the MAC of an address without a request. A proxy entry makes the host answer
// requests for the address on that link.
type Neighbour struct {
	Link  string
	Addr  netip.Addr
	Proxy bool
}

// Neighbours returns the host's entries for the interface: so the host never
// sends requests to the VPS, and answers requests of others. It returns nil on
// a foreign bridge, where the VPS is an ordinary host of the LAN.
func (p Plan) Neighbours() []Neighbour {
	var out []Neighbour
	at := p.Bridge
	switch {
	case p.Mode == ModeRouted:
		at = p.HostLink
	case p.Mode != ModeBridge || p.Foreign:
		return nil
	}
	for _, a := range p.OwnAddresses() {
		out = append(out, Neighbour{Link: at, Addr: a})
	}
	for _, a := range p.Addresses {
		switch {
		case p.Mode == ModeRouted && p.Parent != "":
			out = append(out, Neighbour{p.Parent, a.Addr(), true})
		case p.Mode == ModeBridge && a.Addr().Is6() && !p.Segment: // IPv4 has proxy_arp_pvlan
			out = append(out, Neighbour{p.Bridge, a.Addr(), true})
		}
	}
	return out
}

// hostRoutes are the addresses that the host has a route of its own for.
func (p Plan) HostRoutes() []netip.Addr {
	if p.Mode != ModeRouted {
		return nil
	}
	var out []netip.Addr
	for _, a := range p.Addresses {
		out = append(out, a.Addr())
	}
	return out
}

// linkAddresses are the host's own on its end of the link: the gateways.
func (p Plan) LinkAddresses() []netip.Prefix {
	var out []netip.Prefix
	if p.Mode != ModeRouted {
		return out
	}
	for _, g := range p.Gateways {
		bits := 32
		if g.Is6() {
			bits = 64
		}
		out = append(out, netip.PrefixFrom(g, bits))
	}
	return out
}

// linkSysctls are of the host's end of the link.
func (p Plan) LinkSysctls() []Sysctl {
	conf := "net/ipv6/conf/" + p.HostLink + "/"
	if p.Mode != ModeRouted {
		return []Sysctl{{conf + "disable_ipv6", "1"}} // a port has no address of its own
	}
	out := routerSysctls(p.HostLink)
	if !p.HasIPv6() {
		return append(out, Sysctl{conf + "disable_ipv6", "1"})
	}
	return append(append(out, Sysctl{conf + "addr_gen_mode", "1"}), routerSysctls6(p.HostLink)...) // none but fe80::1
}

// An element is one entry of a set of the filter: this link may use this.
type FilterElement struct {
	Set   string
	value string // in nft's words
	Key   []byte // ifname, padded to 16, and the value, padded to 4
}

// Elements returns the elements of the filters' sets for this interface.
func (p Plan) Elements() []FilterElement {
	if !p.HasPort() {
		return nil
	}
	quoted := fmt.Sprintf("%q", p.HostLink)
	key := func(value ...byte) []byte { return append(InterfaceKey(p.HostLink), value...) }
	out := []FilterElement{{SetMAC, quoted + " . " + p.MAC.String(), append(key(p.MAC...), 0, 0)}}
	for _, a := range p.OwnAddresses() {
		set := SetIPv4
		if a.Is6() {
			set = SetIPv6
		}
		out = append(out, FilterElement{set, quoted + " . " + a.String(), key(a.AsSlice()...)})
	}
	if p.Segment {
		out = append(out, FilterElement{SetSegments, quoted, key()})
	}
	return out
}

// InterfaceKey returns the name of a link as a key of a set.
func InterfaceKey(s string) []byte {
	name := make([]byte, 16) // IFNAMSIZ
	copy(name, s)
	return name
}

// A portFlag is one setting of a bridge port (IFLA_BRPORT_*).
type PortFlag struct {
	name string
	Attr int
	On   bool
}

// IFLA_BRPORT_LOCKED of linux/if_link.h, kernel 5.18; no library has it yet.
const brportLocked = 39

// PortFlags let a port exchange frames only with the bridge itself. Isolated
// ports do not reach each other, the bridge does not flood unknown traffic to
// the port, and it learns no addresses from it. Locked is the second line of
// the source MAC filter.
//
// On a foreign bridge, the administrator's ports must reach the port too, and
// so must their requests, which are multicast or broadcast. Ports of a segment
// reach each other and send requests to each other. There proxy_arp would stop
// all flooded frames (br_flood, net/bridge/br_forward.c).
func (p Plan) PortFlags() []PortFlag {
	groups := p.Foreign || p.Segment
	return []PortFlag{
		{"isolated", 33, !p.Segment},
		{"learning", 8, false},
		{"flood", 9, false},
		{"mcast_flood", 27, groups},
		{"bcast_flood", 30, groups},
		{"locked", brportLocked, true},
	}
}

// IFLA_BRPORT_GROUP_FWD_MASK, and the bit of 01:80:c2:00:00:0e in it. A bridge
// hands frames to that address to the host's own stack without asking any
// filter; one that forwards them asks ours, which drops them.
const (
	BrportGroupFwdMask = 31
	ForwardLLDP        = 1 << 0x0e
)

// macvlanMode: VPSs on one parent reach each other unless the network is private.
func (p Plan) macvlanMode() string {
	if p.Private {
		return "private"
	}
	return "bridge"
}
