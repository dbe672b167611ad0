package network

import (
	"net/netip"
	"slices"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A Seed holds the facts from which Default and New make a network.
type Seed struct {
	Name   string         // "" is croft0
	Bridge string         // "" is Name
	Avoid  []netip.Prefix // prefixes to which the host already has routes
	MTU    int            // of the host's uplink; 0 is 1500
	NoIPv6 bool           // the host's kernel has no IPv6
	Link   string         // kind of an existing link with the network's name that is not croft's; "" if there is none
}

// DefaultName is the name of the network, and of its bridge, that croft creates
// on first use.
const DefaultName = "croft0"

// Default returns a new network in mode bridge with NAT. Its IPv4 prefix is the
// first private /16 (RFC 1918) that does not overlap seed.Avoid or the ranges
// that common tools use. Its IPv6 prefix is a random unique local /64 (RFC
// 4193, section 3.2.2). If the host has routes to all private ranges, Default
// takes a prefix that only wide routes cover.
func Default(seed Seed) Table {
	t := Table{Schema: Schema, Name: seed.Name, Mode: ModeBridge, Bridge: seed.Bridge, MTU: seed.MTU, NAT: true}
	if t.Name == "" {
		t.Name = DefaultName
	}
	if t.Bridge == "" {
		t.Bridge = t.Name
	}
	t.IPv4 = freePrefix(seed.Avoid)
	if !seed.NoIPv6 {
		t.IPv6 = uniqueLocal()
	}
	t.MAC = GatewayMAC()
	return t
}

// freePrefix tries 10.90.0.0/16 and higher first: people, Podman (10.88/16) and
// VPNs (10.8/24) use lower ranges. Then it tries the part of 172.16/12 that is
// above Docker's first pools.
func freePrefix(avoid []netip.Prefix) netip.Prefix {
	candidate := func(i int) netip.Prefix {
		a := netip.AddrFrom4([4]byte{10, byte(90 + i), 0, 0})
		if i >= 160 {
			a = netip.AddrFrom4([4]byte{172, byte(31 - (i - 160)), 0, 0})
		}
		return netip.PrefixFrom(a, 16)
	}
	const candidates = 160 + 8
	for _, widest := range []int{0, 9, 13} {
		for i := range candidates {
			p := candidate(i)
			overlaps := func(q netip.Prefix) bool { return q.Bits() >= widest && q.Bits() > 0 && p.Overlaps(q) }
			if !slices.ContainsFunc(avoid, overlaps) {
				return p
			}
		}
	}
	return candidate(0)
}

// Claim gives owner's interface a MAC, a host link and addresses, and records
// them. It chooses the lowest free address of each family that the network has
// and that want does not contain. It never gives out hostAddrs, the host's own
// addresses. It checks wanted addresses: fail.Usage if the network cannot have
// them, fail.Taken (with the owner's name) if another owner has them. On error
// it records nothing.
//
// If the interface already has a claim, Claim returns it if it contains all
// wanted addresses; otherwise it returns fail.State.
func (t *Table) Claim(owner vps.Name, iface string, want, hostAddrs []netip.Addr) (Claim, error) {
	if err := vps.CheckLinkName(iface); err != nil {
		return Claim{}, fail.New(fail.Usage, "%w", err)
	}
	want = unmapped(want)
	for _, c := range t.Claims {
		if c.Owner == owner && c.Interface == iface {
			return again(c, want)
		}
	}
	if t.Mode == ModeNone {
		if len(want) > 0 {
			return Claim{}, fail.New(fail.Usage, "network %q has no addresses to give", t.Name)
		}
		c := Claim{Owner: owner, Interface: iface, Addresses: []netip.Addr{}}
		t.Claims = append(t.Claims, c)
		return c, nil
	}
	if t.Mode == ModePhysical && len(t.Claims) > 0 {
		return Claim{}, fail.New(fail.Taken, "link %s belongs to %s", t.Parent, t.Claims[0].Owner)
	}
	hostAddrs = unmapped(hostAddrs)
	if err := t.checkWanted(want, hostAddrs); err != nil {
		return Claim{}, err
	}
	addrs, err := t.complete(want, hostAddrs)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{Owner: owner, Interface: iface, Addresses: addrs}
	t.name(&c)
	t.Claims = append(t.Claims, c)
	return c, nil
}

func again(c Claim, want []netip.Addr) (Claim, error) {
	for _, a := range want {
		if !slices.Contains(c.Addresses, a) {
			return Claim{}, fail.New(fail.State, "%s of %s has other addresses already, not %s", c.Interface, c.Owner, a)
		}
	}
	return c, nil
}

func (t *Table) checkWanted(want, hostAddrs []netip.Addr) error {
	for i, a := range want {
		if why := t.unusable(a); why != "" {
			return fail.New(fail.Usage, "address %s %s (network %q)", a, why, t.Name)
		}
		if slices.Contains(want[:i], a) {
			return fail.New(fail.Usage, "address %s is given twice", a)
		}
		if slices.Contains(hostAddrs, a) {
			return fail.New(fail.Taken, "address %s is the host's own", a)
		}
		if who, taken := t.Owner(a); taken {
			return fail.New(fail.Taken, "address %s belongs to %s", a, who)
		}
	}
	return nil
}

// complete adds one address of each family that want does not name, IPv4
// addresses first.
func (t *Table) complete(want, hostAddrs []netip.Addr) ([]netip.Addr, error) {
	var four, six []netip.Addr
	for _, a := range want {
		if a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	for _, f := range []struct {
		prefix netip.Prefix
		addrs  *[]netip.Addr
	}{{t.IPv4, &four}, {t.IPv6, &six}} {
		if !f.prefix.IsValid() || len(*f.addrs) > 0 {
			continue
		}
		a, ok := t.free(f.prefix, hostAddrs)
		if !ok {
			return nil, fail.New(fail.Taken, "network %q has no free address left in %s", t.Name, f.prefix)
		}
		*f.addrs = append(*f.addrs, a)
	}
	return append(four, six...), nil
}

// free returns the lowest address of p that has no owner.
func (t *Table) free(p netip.Prefix, hostAddrs []netip.Addr) (netip.Addr, bool) {
	used := make(map[netip.Addr]bool, len(t.Claims)+len(hostAddrs))
	for _, c := range t.Claims {
		for _, a := range c.Addresses {
			if a.BitLen() == p.Addr().BitLen() {
				used[a] = true
			}
		}
	}
	for _, a := range hostAddrs {
		used[a] = true
	}
	for a := p.Addr(); p.Contains(a); a = a.Next() {
		if !used[a] && t.givable(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// name gives c the first MAC and host link of its series that are not in use.
func (t *Table) name(c *Claim) {
	if t.Mode == ModePhysical {
		return // the physical link keeps its own MAC and has no host link
	}
	for try := 0; ; try++ {
		c.MAC = macOf(*t, c.Owner, c.Interface, try).String()
		if c.MAC != t.MAC && !slices.ContainsFunc(t.Claims, func(o Claim) bool { return o.MAC == c.MAC }) {
			break
		}
	}
	if t.HasPorts() {
		t.nameLink(c)
	}
}

func (t *Table) nameLink(c *Claim) {
	for try := 0; ; try++ {
		c.HostLink = hostLink(*t, c.Owner, c.Interface, try)
		if c.HostLink != t.Bridge && !slices.ContainsFunc(t.Claims, func(o Claim) bool { return o.HostLink == c.HostLink }) {
			return
		}
	}
}

// Release removes all claims of owner in this network. It is a no-op if there
// are none.
func (t *Table) Release(owner vps.Name) {
	t.Claims = slices.DeleteFunc(t.Claims, func(c Claim) bool { return c.Owner == owner })
}

// Rename changes the owner of all claims of old to new. Addresses and MACs
// stay. The host links get new names, so the VPS must not be running. It is a
// no-op if old has no claims.
func (t *Table) Rename(old, new vps.Name) {
	for i := range t.Claims {
		if t.Claims[i].Owner == old {
			t.Claims[i].Owner = new
			if t.HasPorts() {
				t.Claims[i].HostLink = ""
				c := t.Claims[i]
				t.nameLink(&c) // a copy: in place, the claim would conflict with its own name
				t.Claims[i] = c
			}
		}
	}
}

func unmapped(in []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(in))
	for i, a := range in {
		out[i] = a.Unmap()
	}
	return out
}
