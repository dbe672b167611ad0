package network

import "fmt"

// The filters are two nftables tables. One, of the family bridge, serves all
// networks whose ports are on bridges. The other, of the family netdev, serves
// mode routed, whose ports are on no bridge. Both have the same static chains,
// and sets keyed by link. A start adds elements and no rules; in the netdev
// table it also adds the two hooks of its link. The filters drop frames from a
// link whose name begins with "cr-" and that has no elements. So a link that is
// not set up yet, or no longer, cannot send.
const (
	FilterTable = "croft"
	SetNetworks = "networks" // bridges or networks that use the table
	SetMAC      = "macs"
	SetIPv4     = "addresses4"
	SetIPv6     = "addresses6"
	SetSegments = "segments" // links that receive multicast and broadcast
	MapOwners4  = "owners4"  // bridge or link, and address, of VPSs whose connections croft counts
	MapOwners6  = "owners6"
)

// A Family is the nftables family of the table that has a port's filters.
type Family string

const (
	FamilyBridge Family = "bridge"
	FamilyNetdev Family = "netdev"
	FamilyInet   Family = "inet" // counts connections; see connections.go
)

func familyOfMode(m Mode) Family {
	if m == ModeRouted {
		return FamilyNetdev
	}
	return FamilyBridge
}

// A Reason says why the filters dropped a frame from a VPS at its port.
type Reason = string

// The reasons are the keys of the map that Dropped returns.
const (
	ReasonMAC       Reason = "mac"       // a source MAC that is not the VPS's own
	ReasonEtherType Reason = "ethertype" // not ARP, IPv4 or IPv6; or to a reserved group address (STP, LLDP, 802.1X)
	ReasonARP       Reason = "arp"       // an ARP sender that is not the VPS's own MAC and address
	ReasonSource    Reason = "source"    // a source address that is not the VPS's own
	ReasonNeighbour Reason = "neighbour" // a neighbour advertisement or solicitation with a false address or MAC
	ReasonRouter    Reason = "router"    // router advertisements, redirects, multicast listener queries
	ReasonDHCP      Reason = "dhcp"      // messages that only a DHCP server sends
	ReasonLoopback  Reason = "loopback"  // to 127.0.0.0/8, which the host may route; see Publish
	ReasonHeaders   Reason = "headers"   // extension headers or fragments that hide the upper protocol

	// ReasonConnections counts packets in both directions that would begin more
	// connections than the VPS may have. It has no set of its own.
	ReasonConnections Reason = "connections"
)

// Reasons returns all reasons that have a set.
func Reasons() []Reason {
	return []Reason{ReasonMAC, ReasonEtherType, ReasonARP, ReasonSource,
		ReasonNeighbour, ReasonRouter, ReasonDHCP, ReasonLoopback, ReasonHeaders}
}

// DropSet returns the name of the set that counts drops for r.
func DropSet(r Reason) string   { return "dropped-" + r }
func dropChain(r Reason) string { return "drop-" + r }

// A FilterSet is a set of the table.
type FilterSet struct {
	Name    string
	Types   []string
	Dynamic bool // rules write it: it counts dropped frames
	Verdict bool // a map to verdicts
}

// FilterSets returns the sets of one family's table.
func FilterSets(f Family) []FilterSet {
	if f == FamilyInet {
		return connectionSets()
	}
	sets := []FilterSet{
		{Name: SetNetworks, Types: []string{"ifname"}},
		{Name: SetMAC, Types: []string{"ifname", "ether_addr"}},
		{Name: SetIPv4, Types: []string{"ifname", "ipv4_addr"}},
		{Name: SetIPv6, Types: []string{"ifname", "ipv6_addr"}},
		{Name: SetSegments, Types: []string{"ifname"}},
	}
	for _, r := range Reasons() {
		sets = append(sets, FilterSet{Name: DropSet(r), Types: []string{"ifname"}, Dynamic: true})
	}
	return sets
}

// A FilterChain is a chain of the table. Frames enter the table at chains with
// a hook.
type FilterChain struct {
	Name     string
	Hook     string // prerouting, input, postrouting, ingress, egress or ""
	Device   string // of ingress and egress
	priority int    // of the hook; 0 is hookPriority
	Rules    []FilterRule
}

// hookPriority is lower, and so earlier, than the priorities that other tools
// use in the bridge family, including br_netfilter's call of iptables (priority
// 0, NF_BR_PRI_BRNF).
const hookPriority = -300

// FilterChains returns the whole policy of one family's table, except the hooks
// of single links (PortHooks). A chain stands before the chains that jump to
// it.
func FilterChains(f Family) []FilterChain {
	if f == FamilyInet {
		return connectionChains()
	}
	var chains []FilterChain
	add := func(name, hook string, rules ...FilterRule) {
		chains = append(chains, FilterChain{Name: name, Hook: hook, Rules: rules})
	}
	for _, r := range Reasons() {
		// Two rules: if the set is full, the first rule ends without a verdict.
		add(dropChain(r), "", do(count(DropSet(r))), do(verdict("drop")))
	}
	add("check-advertisement", "", advertisementRules()...)
	add("check-solicitation", "", solicitationRules()...)
	add("check-icmp6", "", icmp6Rules()...)
	add("check-upper", "", upperRules()...)
	add("check-unspecified", "", unspecifiedRules()...)
	add("check-ip6", "", ip6Rules()...)
	add("check-ip4", "", ip4Rules()...)
	add("check-arp", "", arpRules()...)
	add("check-from", "", portRules()...)
	add("check-to-segment", "", segmentRules()...)
	add("check-to-group", "", groupRules()...)
	add("check-to", "", toRules()...)
	if f == FamilyBridge {
		add("from-ports", "prerouting", do(ours(iif), verdict("goto check-from")))
		// Most frames to 01:80:c2:00:00:0x skip prerouting and reach the host's
		// stack through this hook only (br_handle_frame,
		// net/bridge/br_input.c). Frames to :0e pass no hook, unless the port
		// forwards them; see forwardLLDP.
		add("reserved-group", "input", do(ours(iif), reservedGroup(), drop(ReasonEtherType)))
		add("to-ports", "postrouting", do(ours(oif), verdict("goto check-to")))
	}
	return chains
}

// PortHooks returns the chains where frames of one link that is not on a bridge
// enter the filters. Their policy is to drop, so an emptied chain lets nothing
// pass. The chain also limits the rate of traffic from the VPS: traffic that
// tc(8) redirects through another link comes back behind this hook
// (net/core/dev.c).
func (p Plan) PortHooks() []FilterChain {
	from := []FilterRule{do(verdict("goto check-from"))}
	if p.Rate.Out > 0 {
		s := NewShaper(p.Rate.Out, p.MTU)
		from = append([]FilterRule{do(over(s.Rate/8, s.Limit), verdict("drop"))}, from...)
	}
	return []FilterChain{
		{Name: "from-" + p.HostLink, Hook: "ingress", Device: p.HostLink, Rules: from},
		{Name: "to-" + p.HostLink, Hook: "egress", Device: p.HostLink, Rules: []FilterRule{do(verdict("goto check-to"))}},
	}
}

// Policy is the verdict of a base chain when no rule decides.
func (c FilterChain) Policy() string {
	if c.Device != "" {
		return "drop"
	}
	return "accept" // for ports that are not ours
}

// declaration returns the chain's type in the language of nft(8); "" if it has
// no hook.
func (c FilterChain) declaration() string {
	if c.Hook == "" {
		return ""
	}
	device := ""
	if c.Device != "" {
		device = fmt.Sprintf(" device %q", c.Device)
	}
	return fmt.Sprintf("type filter hook %s%s priority %d; policy %s;", c.Hook, device, c.Priority(), c.Policy())
}

// Priority returns the priority of the chain's hook.
func (c FilterChain) Priority() int {
	if c.priority == 0 {
		return hookPriority
	}
	return c.priority
}

func portRules() []FilterRule {
	return []FilterRule{
		do(notOwn(iif, etherSource, SetMAC), drop(ReasonMAC)),
		do(reservedGroup(), drop(ReasonEtherType)),
		do(is(etherType, "arp", 0x08, 0x06), verdict("goto check-arp")),
		do(is(etherType, "ip", 0x08, 0x00), verdict("goto check-ip4")),
		do(is(etherType, "ip6", 0x86, 0xdd), verdict("goto check-ip6")),
		do(drop(ReasonEtherType)),
	}
}

// arpRules follow RFC 826. They drop a probe (sender 0.0.0.0, RFC 5227) like
// any other wrong sender. The VPS then gets no answer, and no answer means to
// it that the address is free.
func arpRules() []FilterRule {
	return []FilterRule{
		do(is(arpHead, "0x000108000604", 0, 1, 8, 0, 6, 4), own(iif, arpSourceMAC, SetMAC), own(iif, arpSourceIP, SetIPv4), verdict("accept")),
		do(drop(ReasonARP)),
	}
}

func ip4Rules() []FilterRule {
	return []FilterRule{
		do(notOwn(iif, ip4Source, SetIPv4), drop(ReasonSource)),
		do(is(ip4DestNet, "127", 127), drop(ReasonLoopback)),
		do(l4proto("udp", 17), is(udpPorts, "sport 67 udp dport 68", 0, 67, 0, 68), drop(ReasonDHCP)),
		do(l4proto("icmp", 1), is(icmp4Type, "redirect", 5), drop(ReasonRouter)),
		do(verdict("accept")),
	}
}

// ip6Rules accept later fragments, because check-upper has checked the first
// one, and packets whose upper protocol is visible. A match on missing bytes
// fails; the last rule drops such packets (RFC 7112).
func ip6Rules() []FilterRule {
	return []FilterRule{
		do(is(ip6Source, "::", make([]byte, 16)...), verdict("goto check-unspecified")),
		do(notOwn(iif, ip6Source, SetIPv6), drop(ReasonSource)),
		do(l4protoKnown(), laterFragment(), verdict("accept")),
		do(l4protoKnown(), upperInSight(), verdict("goto check-upper")),
		do(drop(ReasonHeaders)),
	}
}

func upperRules() []FilterRule {
	return []FilterRule{
		do(l4proto("ipv6-icmp", 58), verdict("goto check-icmp6")),
		do(l4proto("udp", 17), is(udpPorts, "sport 547 udp dport 546", 0x02, 0x23, 0x02, 0x22), drop(ReasonDHCP)),
		do(verdict("accept")),
	}
}

// unspecifiedRules accept the packets that a machine sends before it has an
// address (RFC 4862, section 5.4; RFC 3810, section 5.2.13).
func unspecifiedRules() []FilterRule {
	return []FilterRule{
		do(l4proto("ipv6-icmp", 58), fragmented(), drop(ReasonHeaders)),
		do(l4proto("ipv6-icmp", 58), is(icmp6Type, "nd-neighbor-solicit", 135), own(iif, ndTarget, SetIPv6), verdict("accept")),
		do(l4proto("ipv6-icmp", 58), is(icmp6Type, "nd-router-solicit", 133), verdict("accept")),
		do(l4proto("ipv6-icmp", 58), is(icmp6Type, "mld2-listener-report", 143), verdict("accept")),
		do(drop(ReasonSource)),
	}
}

// icmp6Rules drop fragments of neighbour discovery, which must not be
// fragmented (RFC 6980).
func icmp6Rules() []FilterRule {
	return []FilterRule{
		do(fragmented(), between(icmp6Type, "133-137", 133, 137), drop(ReasonHeaders)),
		do(is(icmp6Type, "nd-router-advert", 134), drop(ReasonRouter)),
		do(is(icmp6Type, "nd-redirect", 137), drop(ReasonRouter)),
		do(is(icmp6Type, "mld-listener-query", 130), drop(ReasonRouter)),
		do(is(icmp6Type, "nd-neighbor-advert", 136), verdict("goto check-advertisement")),
		do(is(icmp6Type, "nd-neighbor-solicit", 135), verdict("goto check-solicitation")),
		do(verdict("accept")),
	}
}

// advertisementRules accept advertisements of the VPS's own address. The only
// option may be the VPS's own link-layer address (RFC 4861, section 4.4), so
// the length is 24 or 32 bytes.
func advertisementRules() []FilterRule {
	return []FilterRule{
		do(notOwn(iif, ndTarget, SetIPv6), drop(ReasonNeighbour)),
		do(is(ip6Length, "24", 0, 24), verdict("accept")),
		do(is(ip6Length, "32", 0, 32), is(ndOption, "0x0201", 2, 1), own(iif, ndOptionMAC, SetMAC), verdict("accept")),
		do(drop(ReasonNeighbour)),
	}
}

// solicitationRules accept any target. The source link-layer address must be
// missing or the VPS's own.
func solicitationRules() []FilterRule {
	return []FilterRule{
		do(is(ip6Length, "24", 0, 24), verdict("accept")),
		do(is(ip6Length, "32", 0, 32), is(ndOption, "0x0101", 1, 1), own(iif, ndOptionMAC, SetMAC), verdict("accept")),
		do(drop(ReasonNeighbour)),
	}
}

// toRules let a frame reach a VPS only if it is for its MAC and one of its
// addresses. They also stop frames that the host itself sends to all ports,
// which the flood settings of a port do not stop (br_flood,
// net/bridge/br_forward.c). They drop redirects, which could name a neighbour
// that the VPS cannot reach, and router advertisements, which could give it
// addresses that are not in the table.
func toRules() []FilterRule {
	return []FilterRule{
		do(isGroup(), verdict("goto check-to-group")),
		do(notOwn(oif, etherDest, SetMAC), verdict("drop")),
		do(is(etherType, "arp", 0x08, 0x06), own(oif, arpDestIP, SetIPv4), verdict("accept")),
		do(is(etherType, "ip", 0x08, 0x00), l4proto("icmp", 1), is(icmp4Type, "redirect", 5), verdict("drop")),
		do(is(etherType, "ip", 0x08, 0x00), own(oif, ip4Dest, SetIPv4), verdict("accept")),
		do(is(etherType, "ip6", 0x86, 0xdd), l4proto("ipv6-icmp", 58), is(icmp6Type, "nd-redirect", 137), verdict("drop")),
		do(is(etherType, "ip6", 0x86, 0xdd), l4proto("ipv6-icmp", 58), is(icmp6Type, "nd-router-advert", 134), verdict("drop")),
		do(is(etherType, "ip6", 0x86, 0xdd), own(oif, ip6Dest, SetIPv6), verdict("accept")),
		do(verdict("drop")),
	}
}

// groupRules accept multicast and broadcast only if they ask for one of the
// VPS's addresses; in a segment see segmentRules.
func groupRules() []FilterRule {
	return []FilterRule{
		do(member(oif, SetSegments), verdict("goto check-to-segment")),
		do(is(etherType, "arp", 0x08, 0x06), own(oif, arpDestIP, SetIPv4), verdict("accept")),
		do(is(etherType, "ip6", 0x86, 0xdd), l4proto("ipv6-icmp", 58), is(icmp6Type, "nd-neighbor-solicit", 135),
			own(oif, ndTarget, SetIPv6), verdict("accept")),
		do(verdict("drop")),
	}
}

func segmentRules() []FilterRule {
	return []FilterRule{
		do(is(etherType, "ip6", 0x86, 0xdd), l4proto("ipv6-icmp", 58), is(icmp6Type, "nd-router-advert", 134), verdict("drop")),
		do(is(etherType, "ip6", 0x86, 0xdd), l4proto("ipv6-icmp", 58), is(icmp6Type, "nd-redirect", 137), verdict("drop")),
		do(is(etherType, "arp", 0x08, 0x06), verdict("accept")),
		do(is(etherType, "ip", 0x08, 0x00), verdict("accept")),
		do(is(etherType, "ip6", 0x86, 0xdd), verdict("accept")),
		do(verdict("drop")),
	}
}

// Marks returns the marks of the chain's rules, in order.
func (c FilterChain) Marks() []string {
	var out []string
	for _, r := range c.Rules {
		out = append(out, r.Mark())
	}
	return out
}
