package network

import (
	"fmt"
	"net/netip"
	"slices"

	"croft/internal/vps"
)

// A Mode is what kind of network this is.
type Mode = string

// The modes of a network. docs/network.md says what each is for.
const (
	ModeBridge   Mode = "bridge"   // a port of a bridge: of ours, where the host routes everything, or of a foreign one
	ModeRouted   Mode = "routed"   // a link to the host alone, which has a route for each address
	ModeMACVLAN  Mode = "macvlan"  // an interface of the LAN beside the host's own
	ModePhysical Mode = "physical" // the host's interface itself, which one VPS has at a time
	ModeNone     Mode = "none"     // nothing but lo
)

// Modes are the modes that a network can be created in.
func Modes() []Mode { return []Mode{ModeBridge, ModeRouted, ModeMACVLAN, ModePhysical} }

// HasPorts reports whether a VPS's interface has an end on the host, with
// filters.
func (t Table) HasPorts() bool { return t.Mode == ModeBridge || t.Mode == ModeRouted }

// HostRoutes reports whether the host is the gateway of the VPSs.
func (t Table) HostRoutes() bool { return t.Mode == ModeRouted || t.Mode == ModeBridge && !t.Foreign }

// onLAN reports whether other machines also have addresses in the network's
// prefixes.
func (t Table) onLAN() bool {
	return t.Mode == ModeMACVLAN || t.Mode == ModePhysical || t.Foreign || t.Mode == ModeRouted && t.Parent != ""
}

// LANLink returns the host's link to that LAN; "" if there is none.
func (t Table) LANLink() string {
	switch {
	case !t.onLAN():
		return ""
	case t.Foreign:
		return t.Bridge
	}
	return t.Parent
}

// The gateways of a routed network: link-local ones (RFC 3927, RFC 4291), the
// same for every VPS, since each has the host alone at the other end.
func routedGateway4() netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 0, 1}) }
func routedGateway6() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 1}) }

// Gateway4 is the router of the network's VPSs: the host's first address in the
// network, or the router of the LAN. It is the zero Addr if there is none.
func (t Table) Gateway4() netip.Addr { return t.gateway(t.IPv4, routedGateway4) }

// Gateway6 is Gateway4 for IPv6.
func (t Table) Gateway6() netip.Addr { return t.gateway(t.IPv6, routedGateway6) }

func (t Table) gateway(p netip.Prefix, routed func() netip.Addr) netip.Addr {
	switch {
	case !p.IsValid():
		return netip.Addr{}
	case t.Mode == ModeRouted:
		return routed()
	case t.HostRoutes():
		return FirstHost(p)
	}
	for _, g := range t.Gateways {
		if p.Contains(g) {
			return g
		}
	}
	return netip.Addr{}
}

// FirstHost returns the address after the network address of p; the zero Addr if p is invalid.
func FirstHost(p netip.Prefix) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	return p.Masked().Addr().Next()
}

// bitsOf returns the prefix length of a inside a VPS.
func (t Table) bitsOf(a netip.Addr) int {
	if t.Mode == ModeRouted {
		return a.BitLen()
	}
	return t.prefixOf(a).Bits()
}

// WithBits is a as it is inside a VPS, with its prefix length.
func (t Table) WithBits(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, t.bitsOf(a)) }

// unusable says why no VPS of this network can have a, "" if one can. A routed
// network's prefix is not a link's: all of it can be had.
func (t Table) unusable(a netip.Addr) string {
	p := t.prefixOf(a)
	switch {
	case !a.IsValid() || a.Zone() != "" || a.Is4In6():
		return "is not an address"
	case !p.IsValid():
		return "is of a family that the network does not have"
	case !p.Contains(a):
		return fmt.Sprintf("is not in %s", p)
	case t.Mode == ModeRouted:
		return ""
	case a == p.Addr():
		return "is the network's own"
	case t.HostRoutes() && a == FirstHost(p), slices.Contains(t.Gateways, a):
		return "is the gateway's"
	case a.Is4() && !p.Contains(a.Next()):
		return "is the broadcast address"
	}
	return ""
}

// givable: a may be given to one who does not ask for it. What old guests take
// for a network and its broadcast (x.y.z.0 and x.y.z.255) is not, nor the ends
// of a routed prefix, which may be the ends of a link's further out.
func (t Table) givable(a netip.Addr) bool {
	p := t.prefixOf(a)
	if t.unusable(a) != "" {
		return false
	}
	if p.Addr().BitLen()-p.Bits() < 2 {
		return true // a routed /31 or /32: it has no ends to spare
	}
	last := a.As16()[15]
	return a != p.Addr() && p.Contains(a.Next()) && !(a.Is4() && (last == 0 || last == 255))
}

func (t Table) check() error {
	if t.Schema < 1 {
		return fmt.Errorf("schema %d is none", t.Schema)
	}
	if t.Name == "" {
		return fmt.Errorf("it has no name")
	}
	if t.Mode == ModeNone {
		return t.checkClaims()
	}
	if err := t.checkMode(); err != nil {
		return err
	}
	if _, err := ParseMAC(t.MAC); err != nil {
		return err
	}
	for _, p := range []struct {
		prefix netip.Prefix
		four   bool
	}{{t.IPv4, true}, {t.IPv6, false}} {
		if err := t.checkPrefix(p.prefix, p.four); err != nil {
			return err
		}
	}
	if err := t.checkGateways(); err != nil {
		return err
	}
	if t.MTU < 0 || t.MTU > 65535 {
		return fmt.Errorf("mtu %d is out of range", t.MTU)
	}
	return t.checkClaims()
}

func (t Table) checkMode() error {
	link := t.Parent
	switch t.Mode {
	case ModeBridge:
		link = t.Bridge
	case ModeRouted:
		if t.Parent == "" {
			return nil // the host answers no requests from outside: another router has a route to it
		}
	case ModeMACVLAN, ModePhysical:
	default:
		return fmt.Errorf("mode %q is not known here", t.Mode)
	}
	if err := vps.CheckLinkName(link); err != nil {
		return fmt.Errorf("mode %s: %w", t.Mode, err)
	}
	if t.Private && t.Segment || t.Segment && t.Mode != ModeBridge || t.NAT && !t.HostRoutes() || t.Foreign && t.Mode != ModeBridge {
		return fmt.Errorf("its settings contradict each other")
	}
	return nil
}

// checkPrefix wants a masked prefix with room for a gateway and one VPS; in a
// routed network for one VPS.
func (t Table) checkPrefix(p netip.Prefix, four bool) error {
	if p == (netip.Prefix{}) {
		return nil
	}
	if !p.IsValid() || p.Addr().Is4() != four || p.Masked() != p {
		return fmt.Errorf("invalid prefix %s", p)
	}
	if t.Mode != ModeRouted && p.Addr().BitLen()-p.Bits() < 2 {
		return fmt.Errorf("prefix %s is too small", p)
	}
	return nil
}

func (t Table) checkGateways() error {
	seen := map[bool]bool{}
	for _, g := range t.Gateways {
		p := t.prefixOf(g)
		if t.HostRoutes() || seen[g.Is4()] || !p.Contains(g) || g == p.Addr() {
			return fmt.Errorf("invalid gateway %s", g)
		}
		seen[g.Is4()] = true
	}
	return nil
}
