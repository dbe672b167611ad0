package network

import (
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/internal/vps"
)

// Settings are the user's settings of a new network. For zero fields, New
// chooses values from the mode and the host.
type Settings struct {
	Name     string
	Mode     Mode         // "" is ModeBridge
	Bridge   string       // the administrator's bridge; "": croft creates a bridge with the network's name
	Parent   string       // a link of the host
	IPv4     netip.Prefix // see NoIPv4
	IPv6     netip.Prefix // see NoIPv6
	NoIPv4   bool         // the network has none
	NoIPv6   bool         // the network has none
	Gateways []netip.Addr // routers of the network's LAN
	MTU      int          // 0: the MTU of the uplink
	NoNAT    bool         // packets keep their source address, and connections from outside are accepted
	Private  bool         // its VPSs do not reach each other
	Segment  bool         // its VPSs share broadcast and multicast
	NoNames  bool         // its VPSs do not get each other's names
	Others   []Table      // existing networks
}

// New returns the table of a new network without claims. It returns fail.Usage
// if settings are invalid or contradict each other, and fail.Taken if a prefix
// belongs to another network or to the host.
func New(s Settings, seed Seed) (Table, error) {
	if s.Mode == "" {
		s.Mode = ModeBridge
	}
	if !slices.Contains(Modes(), s.Mode) {
		return Table{}, fail.New(fail.Usage, "mode %q is none of %s", s.Mode, strings.Join(Modes(), ", "))
	}
	if err := s.check(); err != nil {
		return Table{}, err
	}
	t := Table{Schema: Schema, Name: s.Name, Mode: s.Mode, Bridge: s.Bridge, Foreign: s.Bridge != "", Parent: s.Parent,
		MTU: s.MTU, Private: s.Private, Segment: s.Segment, NoNames: s.NoNames, MAC: GatewayMAC(), Claims: []Claim{}}
	for _, g := range s.Gateways {
		t.Gateways = append(t.Gateways, g.Unmap())
	}
	if s.Mode == ModeBridge && s.Bridge == "" {
		if seed.Link != "" {
			return Table{}, fail.New(fail.Taken, "this host has a link %s (%s), and the bridge of the network would have that name", s.Name, seed.Link).
				WithHint("ip link show %s", s.Name)
		}
		t.Bridge = s.Name
	}
	if t.MTU == 0 && t.HostRoutes() {
		t.MTU = seed.MTU
	}
	if err := t.setPrefixes(s, seed); err != nil {
		return Table{}, err
	}
	t.NAT = t.Mode == ModeBridge && t.HostRoutes() && !s.NoNAT
	if err := t.check(); err != nil {
		return Table{}, fail.New(fail.Usage, "network %q: %w", s.Name, err)
	}
	return t, t.apart(s.Others, seed)
}

// check refuses what does not go together, in words of the options.
func (s Settings) check() error {
	lan := s.Mode == ModeMACVLAN || s.Mode == ModePhysical || s.Bridge != ""
	no := func(format string, args ...any) error { return fail.New(fail.Usage, format, args...) }
	switch {
	case s.Bridge != "" && s.Mode != ModeBridge:
		return no("--bridge: mode %s has none", s.Mode)
	case s.Parent != "" && s.Mode == ModeBridge:
		return no("--parent: mode bridge has none; --bridge names a bridge of your own")
	case s.Parent == "" && (s.Mode == ModeMACVLAN || s.Mode == ModePhysical):
		return no("--parent: mode %s needs a link of the host's", s.Mode)
	case len(s.Gateways) > 0 && !lan:
		return no("--gateway: the host is the gateway in mode %s", s.Mode)
	case s.NoNAT && s.Mode != ModeBridge || s.NoNAT && lan:
		return no("--no-nat: croft translates addresses only on its own bridges")
	case s.Segment && s.Mode != ModeBridge:
		return no("--segment: only VPSs on a bridge can share one")
	case s.Segment && s.Private:
		return no("--segment and --private contradict each other")
	case s.Private && s.Mode == ModePhysical:
		return no("--private: one VPS has a physical link to itself")
	case s.Bridge == "" && s.Mode == ModeBridge && vps.CheckLinkName(s.Name) != nil:
		return no("the bridge gets the name of the network, and %q is not valid for a bridge: use at most %d letters", s.Name, vps.MaxLinkName)
	case s.IPv4.IsValid() && s.NoIPv4 || s.IPv6.IsValid() && s.NoIPv6:
		return no("a prefix, and none of its family, contradict each other")
	}
	return nil
}

// setPrefixes uses the prefixes of s. Without them, a bridge of croft gets free
// prefixes. In other modes with ports the user must give at least one.
func (t *Table) setPrefixes(s Settings, seed Seed) error {
	for _, p := range []netip.Prefix{s.IPv4, s.IPv6} {
		if p.IsValid() && p != p.Masked() {
			return fail.New(fail.Usage, "%s is an address and no prefix", p).WithHint("%s", p.Masked())
		}
	}
	for _, p := range []netip.Prefix{s.IPv4, s.IPv6} {
		if what := reservedFor(p); what != "" {
			return fail.New(fail.Usage, "%s is reserved for %s", p, what)
		}
	}
	t.IPv4, t.IPv6 = s.IPv4, s.IPv6
	if t.Mode == ModeBridge && t.HostRoutes() {
		if !t.IPv4.IsValid() && !s.NoIPv4 {
			for _, o := range s.Others {
				if o.IPv4.IsValid() {
					seed.Avoid = append(slices.Clone(seed.Avoid), o.IPv4)
				}
			}
			t.IPv4 = freePrefix(seed.Avoid)
		}
		if !t.IPv6.IsValid() && !s.NoIPv6 && !seed.NoIPv6 {
			t.IPv6 = uniqueLocal()
		}
	}
	if t.HasPorts() && !t.IPv4.IsValid() && !t.IPv6.IsValid() {
		return fail.New(fail.Usage, "mode %s needs --ipv4 or --ipv6, the addresses of its VPSs", t.Mode)
	}
	return nil
}

// reservedFor says what addresses of p are for, "" if VPSs can have them (RFC
// 6890).
func reservedFor(p netip.Prefix) string {
	for _, r := range []struct{ prefix, what string }{
		{"0.0.0.0/8", "this host"}, {"127.0.0.0/8", "loopback addresses"}, {"169.254.0.0/16", "link-local addresses"},
		{"224.0.0.0/4", "multicast"}, {"240.0.0.0/4", "future use"},
		{"::/127", "the unspecified and the loopback address"}, {"::ffff:0:0/96", "IPv4 addresses in IPv6"},
		{"fe80::/10", "link-local addresses"}, {"ff00::/8", "multicast"},
	} {
		if q := netip.MustParsePrefix(r.prefix); p.IsValid() && q.Overlaps(p) {
			return r.what
		}
	}
	return ""
}

// apart refuses prefixes that lie over another network's, or over addresses
// of the host's and where it has routes to. On a LAN it is the same prefix.
func (t Table) apart(others []Table, seed Seed) error {
	for _, p := range []netip.Prefix{t.IPv4, t.IPv6} {
		if !p.IsValid() {
			continue
		}
		for _, o := range others {
			if q := o.prefixOf(p.Addr()); q.IsValid() && q.Overlaps(p) && !(t.onLAN() && o.onLAN()) {
				return fail.New(fail.Taken, "%s overlaps %s of network %s", p, q, o.Name).WithHint("croft network inspect %s", o.Name)
			}
		}
		if t.onLAN() || t.Mode == ModeRouted {
			continue
		}
		for _, q := range seed.Avoid {
			if p.Contains(q.Addr()) && q.Bits() >= p.Bits() {
				return fail.New(fail.Taken, "prefix %s contains %s, which belongs to the host or is routed elsewhere", p, q).WithHint("ip route show %s", q)
			}
		}
	}
	return nil
}

// gatewayMAC is a random one of the sort that macOf describes.
func GatewayMAC() string {
	var random [5]byte
	rand.Read(random[:]) // never fails: crypto/rand
	return net.HardwareAddr(append([]byte{0xc2}, random[:]...)).String()
}

// uniqueLocal is a random /64 (RFC 4193, section 3.2.2).
func uniqueLocal() netip.Prefix {
	var random [5]byte
	rand.Read(random[:])
	a := [16]byte{0: 0xfd}
	copy(a[1:], random[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}
