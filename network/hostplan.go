package network

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"croft/internal/vps"
)

// A HostPlan lists the objects that a network needs on the host, for any number
// of VPSs: bridge, addresses, sysctls, filters, and iptables rules.
type HostPlan struct {
	Network   string
	Mode      Mode
	Bridge    string
	Foreign   bool   // the administrator owns the bridge; it must exist, and croft does not change it
	Parent    string // the host's link that must exist; "" if none
	MAC       net.HardwareAddr
	MTU       int
	Addresses []netip.Prefix // the host's addresses on the bridge: the gateways
	Sysctls   []Sysctl       // of the bridge or the uplink only
	Rules     []Rule
	IPv4      bool // the network has an IPv4 prefix
	IPv6      bool
	// Ports are the interfaces that may exist now. For each one that exists,
	// Ensure restores objects that another program removed. Ensure creates no
	// interface.
	Ports []Plan
}

// A Sysctl is a setting below /proc/sys. Its key contains slashes.
type Sysctl struct{ Key, Value string }

// A Rule is one of croft's rules in iptables (Six: in ip6tables). Spec has the
// format of iptables-save, so that it can be compared with the present rules.
type Rule struct {
	Six          bool
	Table, Chain string
	Spec         string
}

// NewHostPlan returns the objects that t needs on the host.
func NewHostPlan(t Table) HostPlan {
	p := HostPlan{Network: t.Name, Mode: t.Mode}
	if t.Mode == ModeNone {
		return p
	}
	p.Bridge, p.Foreign, p.Parent, p.MTU = t.Bridge, t.Foreign, t.Parent, t.MTU
	p.IPv4, p.IPv6 = t.IPv4.IsValid(), t.IPv6.IsValid()
	p.MAC, _ = net.ParseMAC(t.MAC) // Decode, Default and New have checked it
	for _, prefix := range []netip.Prefix{t.IPv4, t.IPv6} {
		if !prefix.IsValid() || !t.HostRoutes() {
			continue
		}
		p.Rules = append(p.Rules, rules(t, prefix)...)
		if t.Mode == ModeBridge {
			p.Addresses = append(p.Addresses, netip.PrefixFrom(FirstHost(prefix), prefix.Bits()))
		}
	}
	switch {
	case t.Mode == ModeBridge && !t.Foreign:
		p.Sysctls = bridgeSysctls(t)
	case t.Mode == ModeRouted && p.IPv6 && t.Parent != "":
		p.Sysctls = []Sysctl{{"net/ipv6/conf/" + t.Parent + "/proxy_ndp", "1"}} // IPv4 always answers for its proxy entries
	}
	for _, c := range t.Claims {
		if port, err := NewPlan(t, c); err == nil {
			p.Ports = append(p.Ports, port)
		}
	}
	return p
}

// Family returns the family of the table that filters the network's ports.
func (p HostPlan) Family() Family { return familyOfMode(p.Mode) }

// HasFilter reports whether the network has ports with filters.
func (p HostPlan) HasFilter() bool { return p.Mode == ModeBridge || p.Mode == ModeRouted }

// Routes reports whether the host is the VPSs' gateway.
func (p HostPlan) Routes() bool { return p.Mode == ModeRouted || p.Mode == ModeBridge && !p.Foreign }

// Families lists the nftables tables that the network needs: one for its
// filters, one that counts connections.
func (p HostPlan) Families() []Family { return []Family{p.Family(), FamilyInet} }

// FilterKey returns the network's key in a table's sets. It fits IFNAMSIZ and
// is unique.
func (p HostPlan) FilterKey(f Family) string {
	if f == FamilyBridge {
		return p.Bridge
	}
	if len(p.Network) <= vps.MaxLinkName {
		return p.Network
	}
	sum := sha256.Sum256([]byte(p.Network))
	return fmt.Sprintf("%.8s-%x", p.Network, sum[:3])
}

// routerSysctls make the host the router on a link. With them it ignores
// redirects and source routes from VPSs.
func routerSysctls(link string) []Sysctl {
	conf := "net/ipv4/conf/" + link + "/"
	return []Sysctl{
		{conf + "forwarding", "1"},
		{conf + "send_redirects", "0"}, // not enough: the kernel sends redirects if "all" is 1, hence the filter
		{conf + "accept_redirects", "0"},
		{conf + "accept_source_route", "0"},
		{conf + "rp_filter", "1"},
	}
}

// routerSysctls6 do the same for IPv6.
func routerSysctls6(link string) []Sysctl {
	conf := "net/ipv6/conf/" + link + "/"
	return []Sysctl{
		{conf + "disable_ipv6", "0"},
		{conf + "accept_ra", "0"},
		{conf + "accept_redirects", "0"},
		{conf + "accept_dad", "0"}, // the table decides who owns an address
		{conf + "forwarding", "1"},
	}
}

// bridgeSysctls make the host answer for every address of the network with
// its own MAC, at once. In a segment it does not: the VPSs answer each other.
func bridgeSysctls(t Table) []Sysctl {
	answer := "1"
	if t.Segment {
		answer = "0"
	}
	out := append(routerSysctls(t.Bridge),
		Sysctl{"net/ipv4/conf/" + t.Bridge + "/proxy_arp_pvlan", answer}, // for neighbours on the same link (RFC 3069)
		Sysctl{"net/ipv4/neigh/" + t.Bridge + "/proxy_delay", "0"},
		neverAsk("ipv4", t.Bridge))
	if !t.IPv6.IsValid() {
		return append(out, Sysctl{"net/ipv6/conf/" + t.Bridge + "/disable_ipv6", "1"})
	}
	return append(append(out, routerSysctls6(t.Bridge)...),
		Sysctl{"net/ipv6/conf/" + t.Bridge + "/proxy_ndp", answer},
		Sysctl{"net/ipv6/neigh/" + t.Bridge + "/proxy_delay", "0"}, // else up to 0.8 s for each first packet
		neverAsk("ipv6", t.Bridge))
}

// neverAsk stops the host from sending neighbour requests on croft's own
// bridges: it knows all neighbours there. A lookup of an address without a VPS
// then fails at once, and the kernel removes its entry first when the host's
// table is full (neigh_forced_gc, net/core/neighbour.c). While the host asks,
// an entry stays. So a VPS that scans its prefix could fill the table, which
// all network namespaces share.
func neverAsk(family, bridge string) Sysctl {
	return Sysctl{"net/" + family + "/neigh/" + bridge + "/mcast_solicit", "0"}
}

// croft's chains in iptables.
const (
	chainInput       = "CROFT-INPUT"
	ChainForward     = "CROFT-FORWARD"
	chainPostrouting = "CROFT-POSTROUTING"
)

// A Jump is the only rule that leads from a built-in chain to one of croft's
// chains.
type Jump struct{ Table, From, To string }

// Jumps returns the jumps to croft's chains for networks.
func Jumps() []Jump {
	return []Jump{
		{"filter", "INPUT", chainInput},
		{"filter", "FORWARD", ChainForward},
		{"nat", "POSTROUTING", chainPostrouting},
	}
}

// rules returns a constant number of rules for each network. Rules with -o
// protect a network from incoming packets. They stand before the rules that let
// packets out, of all networks, so networks do not reach each other. The link
// names of a routed network share only the prefix of all ports. The filters let
// a VPS send only from its own addresses, so the network's prefix identifies
// its packets.
func rules(t Table, prefix netip.Prefix) []Rule {
	six := prefix.Addr().Is6()
	mine := "-m comment --comment " + t.Name
	add := func(table, chain, format string, args ...any) Rule {
		return Rule{six, table, chain, fmt.Sprintf(format, args...) + " " + mine}
	}
	forward := func(target, format string, args ...any) Rule {
		r := add("filter", ChainForward, format, args...)
		r.Spec += " -j " + target
		return r
	}
	// Matches: within the network, into it, out of it, and into it from
	// outside.
	within, into, out := fmt.Sprintf("-i %s -o %[1]s", t.Bridge), "-o "+t.Bridge, "-i "+t.Bridge
	foreign := []string{fmt.Sprintf("! -i %s -o %[1]s", t.Bridge)}
	leaves := fmt.Sprintf("-s %s ! -o %s", prefix, t.Bridge)
	if t.Mode == ModeRouted {
		const ports = LinkPrefix + "+"
		within = fmt.Sprintf("-s %s -d %[1]s -i %s -o %[2]s", prefix, ports)
		into, out = fmt.Sprintf("-d %s -o %s", prefix, ports), fmt.Sprintf("-s %s -i %s", prefix, ports)
		foreign = []string{fmt.Sprintf("! -s %s -d %[1]s -o %s", prefix, ports), fmt.Sprintf("-d %s ! -i %s -o %[2]s", prefix, ports)}
		leaves = fmt.Sprintf("-s %s ! -o %s", prefix, ports)
	}
	var all []Rule
	if six { // neighbour requests, which the host must accept as it accepts ARP: with a strict INPUT policy VPSs would have no gateway
		at := t.Bridge
		if t.Mode == ModeRouted {
			at = LinkPrefix + "+"
		}
		ask := add("filter", chainInput, "-i %s -p ipv6-icmp -m icmp6 --icmpv6-type 135", at)
		ask.Spec += " -j ACCEPT"
		all = append(all, ask)
	}
	if t.Private {
		all = append(all, forward("DROP", "%s", within))
	}
	if !t.NAT {
		return append(all, forward("ACCEPT", "%s", into), forward("ACCEPT", "%s", out))
	}
	all = append(all, forward("ACCEPT", "%s -m conntrack --ctstate RELATED,ESTABLISHED,DNAT", into))
	for _, from := range foreign {
		all = append(all, forward("DROP", "%s", from))
	}
	masquerade := add("nat", chainPostrouting, "%s", leaves)
	masquerade.Spec += " -j MASQUERADE"
	return append(all, forward("ACCEPT", "%s", out), masquerade)
}

// String returns the plan as commands of ip(8), sysctl(8), iptables(8) and
// nft(8), one object a line, in the order in which Ensure creates the objects.
func (p HostPlan) String() string {
	var t text
	if p.HasFilter() {
		for _, f := range p.Families() {
			t.WriteString(filterText(f))
			t.line("nft add element %s %s %s { %q }", f, FilterTable, SetNetworks, p.FilterKey(f))
		}
	}
	if p.Foreign {
		t.line("# bridge %s has to be there, and stays as it is", p.Bridge)
	}
	if p.Parent != "" {
		t.line("# link %s has to be there", p.Parent)
	}
	if p.Bridge != "" && !p.Foreign {
		mtu := ""
		if p.MTU > 0 {
			mtu = fmt.Sprintf(" mtu %d", p.MTU)
		}
		t.line("ip link add %s address %s%s type bridge mcast_snooping 0", p.Bridge, p.MAC, mtu)
		t.line("ip link set %s alias %q", p.Bridge, p.Alias())
	}
	for _, s := range p.Sysctls {
		if s.ForwardsIPv6() {
			t.line("# if that is 0: accept_ra=2 wherever it is 1 and forwarding 0")
		}
		t.line("sysctl %s=%s", strings.ReplaceAll(s.Key, "/", "."), s.Value)
	}
	if p.Bridge != "" && !p.Foreign {
		t.line("tc qdisc add dev %s clsact", p.Bridge)
		catchText(p.Bridge, "ingress", t.line)
	}
	for _, a := range p.Addresses {
		t.line("ip addr replace %s dev %s%s", a, p.Bridge, addressWords(a))
	}
	if p.Bridge != "" && !p.Foreign {
		t.line("ip link set %s up", p.Bridge)
	}
	for _, six := range []bool{false, true} {
		p.rulesText(six, t.line)
	}
	if p.Routes() {
		t.line("sysctl net.ipv4.ip_forward=1")
	}
	if p.Routes() && p.IPv6 {
		t.line("# if that is 0: as above")
		t.line("sysctl net.ipv6.conf.all.forwarding=1")
	}
	return t.String()
}

func (p HostPlan) rulesText(six bool, line func(string, ...any)) {
	name := "iptables"
	if six {
		name = "ip6tables"
	}
	mine := p.RulesOf(six)
	for _, j := range Jumps() {
		specs := specsIn(mine, j)
		if len(specs) == 0 {
			continue
		}
		line("%s -w -t %s -N %s", name, j.Table, j.To)
		for _, spec := range specs {
			line("%s -w -t %s -A %s %s", name, j.Table, j.To, spec)
		}
		line("%s -w -t %s -I %s -j %s", name, j.Table, j.From, j.To)
	}
}

// RulesOf returns the rules of one family.
func (p HostPlan) RulesOf(six bool) []Rule {
	var out []Rule
	for _, r := range p.Rules {
		if r.Six == six {
			out = append(out, r)
		}
	}
	return out
}

// Alias returns the alias of the bridge, by which croft recognises its own.
func (p HostPlan) Alias() string { return "croft " + p.Network }

// ForwardsIPv6 reports whether s makes the host, or one link, forward IPv6. In
// both cases the kernel drops the default routes that it learned from router
// advertisements, except on links that continue to accept them
// (rt6_purge_dflt_routers, net/ipv6/addrconf.c).
func (s Sysctl) ForwardsIPv6() bool {
	return s.Value == "1" && strings.HasPrefix(s.Key, "net/ipv6/conf/") && strings.HasSuffix(s.Key, "/forwarding")
}
