package network

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A HostPlan is what a network needs of the host, however many VPSs are in
// it: bridge, addresses, sysctls, filters, and rules of iptables.
type HostPlan struct {
	Network   string
	Mode      Mode
	Bridge    string
	MAC       net.HardwareAddr
	MTU       int
	Addresses []netip.Prefix // the host's own on the bridge: the gateways
	Sysctls   []Sysctl       // of the bridge alone
	Rules     []Rule
	// Ports are the interfaces that may be plugged in now. Ensure gives back to those
	// that are what somebody flushed; it makes none.
	Ports []Plan
}

// A Sysctl is one setting below /proc/sys, its key with slashes.
type Sysctl struct{ Key, Value string }

// A Rule is one rule of ours in iptables (Six: ip6tables). Spec is
// written as iptables-save prints it, so that what is there can be compared.
type Rule struct {
	Six          bool
	Table, Chain string
	Spec         string
}

// NewHostPlan returns what t needs of the host.
func NewHostPlan(t Table) HostPlan {
	p := HostPlan{Network: t.Name, Mode: t.Mode}
	if t.Mode == ModeNone {
		return p
	}
	p.Bridge, p.MTU = t.Bridge, t.MTU
	p.MAC, _ = net.ParseMAC(t.MAC) // Decode and Default vouch for it
	for _, prefix := range []netip.Prefix{t.IPv4, t.IPv6} {
		if prefix.IsValid() {
			p.Addresses = append(p.Addresses, netip.PrefixFrom(firstHost(prefix), prefix.Bits()))
			p.Rules = append(p.Rules, rules(t, prefix)...)
		}
	}
	p.Sysctls = bridgeSysctls(t.Bridge, t.IPv6.IsValid())
	for _, c := range t.Claims {
		if port, err := NewPlan(t, c); err == nil {
			p.Ports = append(p.Ports, port)
		}
	}
	return p
}

func (p HostPlan) hasIPv6() bool {
	for _, a := range p.Addresses {
		if a.Addr().Is6() {
			return true
		}
	}
	return false
}

// bridgeSysctls make the host answer for every address of the network with
// its own MAC, at once, and believe nothing that comes from a VPS.
func bridgeSysctls(bridge string, six bool) []Sysctl {
	four := "net/ipv4/conf/" + bridge + "/"
	out := []Sysctl{
		{four + "forwarding", "1"},
		{four + "proxy_arp_pvlan", "1"}, // answer for neighbours on the same link (RFC 3069)
		{four + "send_redirects", "0"},  // only half: the host's "all" counts too, hence the filter
		{four + "accept_redirects", "0"},
		{four + "accept_source_route", "0"},
		{four + "rp_filter", "1"},
		{"net/ipv4/neigh/" + bridge + "/proxy_delay", "0"},
	}
	if !six {
		return append(out, Sysctl{"net/ipv6/conf/" + bridge + "/disable_ipv6", "1"})
	}
	conf := "net/ipv6/conf/" + bridge + "/"
	return append(out,
		Sysctl{conf + "disable_ipv6", "0"},
		Sysctl{conf + "accept_ra", "0"},
		Sysctl{conf + "accept_redirects", "0"},
		Sysctl{conf + "accept_dad", "0"}, // the table says whose an address is
		Sysctl{conf + "forwarding", "1"},
		Sysctl{conf + "proxy_ndp", "1"},
		Sysctl{"net/ipv6/neigh/" + bridge + "/proxy_delay", "0"}, // else up to 0.8 s for each first packet
	)
}

// The chains of ours in iptables, and where one jump leads to each.
const (
	chainForward     = "CROFT-FORWARD"
	chainPostrouting = "CROFT-POSTROUTING"
)

// A jump is the one rule that leads from a built-in chain to one of ours.
type jump struct{ table, from, to string }

func jumps() []jump {
	return []jump{
		{"filter", "FORWARD", chainForward},
		{"nat", "POSTROUTING", chainPostrouting},
	}
}

// rules are O(1) for each network. Those with -o guard what comes in and stand before
// those that let out, of whichever network: so networks do not reach each other.
func rules(t Table, prefix netip.Prefix) []Rule {
	six := prefix.Addr().Is6()
	mine := "-m comment --comment " + t.Bridge
	add := func(table, chain, format string, args ...any) Rule {
		return Rule{six, table, chain, fmt.Sprintf(format, args...)}
	}
	out := add("filter", chainForward, "-i %s %s -j ACCEPT", t.Bridge, mine)
	if !t.NAT {
		return []Rule{add("filter", chainForward, "-o %s %s -j ACCEPT", t.Bridge, mine), out}
	}
	return []Rule{
		add("filter", chainForward, "-o %s -m conntrack --ctstate RELATED,ESTABLISHED,DNAT %s -j ACCEPT", t.Bridge, mine),
		add("filter", chainForward, "! -i %s -o %s %s -j DROP", t.Bridge, t.Bridge, mine),
		out,
		add("nat", chainPostrouting, "-s %s ! -o %s %s -j MASQUERADE", prefix, t.Bridge, mine),
	}
}

// String is the plan in words of ip(8), sysctl(8), iptables(8) and nft(8),
// one object a line, in the order in which Ensure makes them.
func (p HostPlan) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if p.Mode == ModeNone {
		return ""
	}
	mtu := ""
	if p.MTU > 0 {
		mtu = fmt.Sprintf(" mtu %d", p.MTU)
	}
	b.WriteString(filterText())
	line("nft add element bridge %s %s { %q }", filterTable, setNetworks, p.Bridge)
	line("ip link add %s address %s%s type bridge mcast_snooping 0", p.Bridge, p.MAC, mtu)
	line("ip link set %s alias %q", p.Bridge, p.alias())
	for _, s := range p.Sysctls {
		line("sysctl %s=%s", strings.ReplaceAll(s.Key, "/", "."), s.Value)
	}
	for _, a := range p.Addresses {
		nodad := ""
		if a.Addr().Is6() {
			nodad = " nodad"
		}
		line("ip addr replace %s dev %s%s", a, p.Bridge, nodad)
	}
	line("ip link set %s up", p.Bridge)
	for _, six := range []bool{false, true} {
		p.rulesText(six, line)
	}
	line("sysctl net.ipv4.ip_forward=1")
	if p.hasIPv6() {
		line("# if net.ipv6.conf.all.forwarding is 0: accept_ra=2 wherever it is 1, then")
		line("sysctl net.ipv6.conf.all.forwarding=1")
	}
	return b.String()
}

func (p HostPlan) rulesText(six bool, line func(string, ...any)) {
	name := "iptables"
	if six {
		name = "ip6tables"
	}
	mine := p.rulesOf(six)
	if len(mine) == 0 {
		return
	}
	for _, j := range jumps() {
		line("%s -w -t %s -N %s", name, j.table, j.to)
		for _, r := range mine {
			if r.Table == j.table {
				line("%s -w -t %s -A %s %s", name, r.Table, r.Chain, r.Spec)
			}
		}
		line("%s -w -t %s -I %s -j %s", name, j.table, j.from, j.to)
	}
}

func (p HostPlan) rulesOf(six bool) []Rule {
	var out []Rule
	for _, r := range p.Rules {
		if r.Six == six {
			out = append(out, r)
		}
	}
	return out
}

func (p HostPlan) alias() string { return "croft " + p.Network }
