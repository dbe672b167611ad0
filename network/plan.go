package network

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A Plan is everything that one interface of a VPS needs: its place on the
// host, and its own settings. It is a value; String says it in words that a
// person can type.
type Plan struct {
	Network   string
	Mode      Mode
	Owner     string
	Interface string // inside: eth0
	HostLink  string
	Bridge    string
	MAC       net.HardwareAddr
	Addresses []netip.Prefix // with the length of the network's prefix, IPv4 first
	Gateways  []netip.Addr   // one of each family that Addresses has
	MTU       int            // 0 leaves the kernel's
	Rate      Rate
}

// NewPlan returns what c needs in t. An error is a claim that is not t's.
func NewPlan(t Table, c Claim) (Plan, error) {
	p := Plan{Network: t.Name, Mode: t.Mode, Owner: c.Owner, Interface: c.Interface}
	if t.Mode == ModeNone {
		return p, nil
	}
	mac, err := parseMAC(c.MAC)
	if err != nil {
		return Plan{}, fmt.Errorf("plan %s of %s: %w", c.Interface, c.Owner, err)
	}
	if err := checkHostLink(c.HostLink); err != nil {
		return Plan{}, fmt.Errorf("plan %s of %s: %w", c.Interface, c.Owner, err)
	}
	p.HostLink, p.Bridge, p.MAC, p.MTU = c.HostLink, t.Bridge, mac, t.MTU
	var four, six bool
	for _, a := range c.Addresses {
		if why := t.unusable(a); why != "" {
			return Plan{}, fmt.Errorf("plan %s of %s: address %s %s", c.Interface, c.Owner, a, why)
		}
		p.Addresses = append(p.Addresses, netip.PrefixFrom(a, t.prefixOf(a).Bits()))
		four, six = four || a.Is4(), six || a.Is6()
	}
	if four {
		p.Gateways = append(p.Gateways, t.Gateway4())
	}
	if six {
		p.Gateways = append(p.Gateways, t.Gateway6())
	}
	return p, nil
}

// Alias is the ifalias of the host link: whose it is, beyond what 15 bytes say.
func (p Plan) Alias() string {
	return fmt.Sprintf("croft %s %s %s", p.Network, p.Owner, p.Interface)
}

// neighbours are the addresses that the host knows the MAC of, so that it
// never asks: the VPS's own, and its link-local one.
func (p Plan) neighbours() []netip.Addr {
	var out []netip.Addr
	for _, a := range p.Addresses {
		out = append(out, a.Addr())
	}
	if p.hasIPv6() {
		out = append(out, linkLocal(p.MAC))
	}
	return out
}

func (p Plan) hasIPv6() bool {
	for _, a := range p.Addresses {
		if a.Addr().Is6() {
			return true
		}
	}
	return false
}

// An element is one entry of a set of the filter: this link may use this.
type element struct {
	set   string
	value string // in nft's words
	key   []byte // ifname, padded to 16, and the value, padded to 4
}

// elements are what the filters let this interface use.
func (p Plan) elements() []element {
	name := ifname(p.HostLink)
	out := []element{{setMAC, p.MAC.String(), append(name[:], append(p.MAC[:6:6], 0, 0)...)}}
	for _, a := range p.neighbours() {
		set := setIPv4
		if a.Is6() {
			set = setIPv6
		}
		out = append(out, element{set, a.String(), append(name[:len(name):len(name)], a.AsSlice()...)})
	}
	return out
}

func ifname(s string) []byte {
	name := make([]byte, 16) // IFNAMSIZ
	copy(name, s)
	return name
}

// String is the plan in words of nft(8), ip(8), bridge(8) and sysctl(8), one
// object a line, in the order in which Plug does it. Unplug is the inverse.
func (p Plan) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if p.Mode == ModeNone {
		line("# in the VPS")
		line("ip link set lo up")
		return b.String()
	}
	mtu := ""
	if p.MTU > 0 {
		mtu = fmt.Sprintf(" mtu %d", p.MTU)
	}
	line("# on the host")
	for _, e := range p.elements() {
		line("nft add element bridge %s %s { %q . %s }", filterTable, e.set, p.HostLink, e.value)
	}
	for _, a := range p.neighbours() {
		line("ip neigh replace %s lladdr %s dev %s nud permanent", a, p.MAC, p.Bridge)
	}
	for _, a := range p.Addresses {
		if a.Addr().Is6() {
			line("ip neigh replace proxy %s dev %s", a.Addr(), p.Bridge)
		}
	}
	line("ip link add %s%s type veth peer name %s address %s%s netns PID", p.HostLink, mtu, p.Interface, p.MAC, mtu)
	line("ip link set %s alias %q", p.HostLink, p.Alias())
	line("sysctl net.ipv6.conf.%s.disable_ipv6=1", p.HostLink)
	line("ip link set %s master %s", p.HostLink, p.Bridge)
	line("bridge link set dev %s %s", p.HostLink, portFlagsText())
	line("ip link set %s type bridge_slave group_fwd_mask %#x", p.HostLink, forwardLLDP)
	line("bridge fdb replace %s dev %s master static", p.MAC, p.HostLink)
	p.rateText(line)
	line("# in the VPS")
	line("ip link set lo up")
	line("ip link set %s addrgenmode eui64", p.Interface)
	for _, a := range p.Addresses {
		nodad := ""
		if a.Addr().Is6() {
			nodad = " nodad"
		}
		line("ip addr replace %s dev %s%s", a, p.Interface, nodad)
	}
	line("ip link set %s up", p.Interface)
	for _, g := range p.Gateways {
		line("ip route replace default via %s dev %s", g, p.Interface)
	}
	line("# on the host, last")
	line("ip link set %s up", p.HostLink)
	return b.String()
}

// A portFlag is one setting of a bridge port (IFLA_BRPORT_*).
type portFlag struct {
	name string
	attr int
	on   bool
}

// IFLA_BRPORT_LOCKED of linux/if_link.h, kernel 5.18; no library has it yet.
const brportLocked = 39

// portFlags make a port exchange frames with nothing but the bridge itself:
// isolated ports do not reach each other, what the port did not ask for is
// not flooded to it, and what it sends teaches the bridge nothing. Locked is
// the second line of the source MAC filter.
func portFlags() []portFlag {
	return []portFlag{
		{"isolated", 33, true},
		{"learning", 8, false},
		{"flood", 9, false},
		{"mcast_flood", 27, false},
		{"bcast_flood", 30, false},
		{"locked", brportLocked, true},
	}
}

// IFLA_BRPORT_GROUP_FWD_MASK, and the bit of 01:80:c2:00:00:0e in it. A bridge
// hands frames to that address to the host's own stack without asking any
// filter; one that forwards them asks ours, which drops them.
const (
	brportGroupFwdMask = 31
	forwardLLDP        = 1 << 0x0e
)

func portFlagsText() string {
	var words []string
	for _, f := range portFlags() {
		state := "off"
		if f.on {
			state = "on"
		}
		words = append(words, f.name+" "+state)
	}
	return strings.Join(words, " ")
}
