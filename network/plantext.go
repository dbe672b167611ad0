package network

import (
	"fmt"
	"net/netip"
	"strings"

	"croft/internal/vps"
)

// text collects lines.
type text struct{ strings.Builder }

func (t *text) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// String is the plan in words of nft(8), ip(8), bridge(8) and sysctl(8), one
// object a line, in the order in which Plug does it. Unplug is the inverse.
func (p Plan) String() string {
	var t text
	switch p.Mode {
	case ModeBridge, ModeRouted:
		p.portText(&t)
	case ModeMACVLAN:
		t.line("# on the host")
		t.line("ip link add link %s name %s address %s%s netns PID type macvlan mode %s", p.Parent, p.Interface, p.MAC, p.mtuText(), p.macvlanMode())
	case ModePhysical:
		t.line("# on the host")
		t.line("ip link set %s down netns PID name %s", p.Parent, p.Interface)
		t.line("# in the VPS")
		t.line("ip link property add dev %s altname %s", p.Interface, p.Parent)
	}
	p.insideText(&t)
	if p.HasPort() {
		t.line("# on the host, last")
		t.line("ip link set %s up", p.HostLink)
	}
	if p.Mode == ModeRouted {
		p.introductionText(&t)
	}
	return t.String()
}

func (p Plan) mtuText() string {
	if p.MTU > 0 {
		return fmt.Sprintf(" mtu %d", p.MTU)
	}
	return ""
}

func (p Plan) portText(t *text) {
	t.line("# on the host")
	for _, e := range p.Elements() {
		t.line("nft add element %s %s %s { %s }", p.Family(), FilterTable, e.Set, e.value)
	}
	p.connectionsText(t.line)
	if p.Mode == ModeBridge {
		p.introductionText(t)
	}
	own := ""
	if p.HostMAC != nil {
		own = fmt.Sprintf(" address %s", p.HostMAC)
	}
	t.line("ip link add %s%s%s type veth peer name %s address %s%s netns PID", p.HostLink, own, p.mtuText(), p.Interface, p.MAC, p.mtuText())
	t.line("ip link set %s alias %q", p.HostLink, p.Alias())
	for _, s := range p.LinkSysctls() {
		t.line("sysctl %s=%s", strings.ReplaceAll(s.Key, "/", "."), s.Value)
	}
	if p.Mode == ModeRouted {
		for _, c := range p.PortHooks() {
			t.line("nft add chain %s %s %s { %s }", p.Family(), FilterTable, c.Name, c.declaration())
			for _, r := range c.Rules {
				t.line("nft add rule %s %s %s %s", p.Family(), FilterTable, c.Name, r)
			}
		}
		p.rateText(t.line)
		for _, a := range p.LinkAddresses() {
			t.line("ip addr replace %s dev %s%s", a, p.HostLink, addressWords(a))
		}
		return
	}
	t.line("ip link set %s master %s", p.HostLink, p.Bridge)
	t.line("bridge link set dev %s %s", p.HostLink, p.portFlagsText())
	t.line("ip link set %s type bridge_slave group_fwd_mask %#x", p.HostLink, ForwardLLDP)
	t.line("bridge fdb replace %s dev %s master static sticky", p.MAC, p.HostLink)
	p.guardText(t.line)
	p.rateText(t.line)
}

// introductionText is what tells the host of the VPS.
func (p Plan) introductionText(t *text) {
	for _, a := range p.HostRoutes() {
		t.line("ip route add %s/%d dev %s proto %d", a, a.BitLen(), p.HostLink, ProtocolCroft)
	}
	for _, n := range p.Neighbours() {
		if n.Proxy {
			t.line("ip neigh replace proxy %s dev %s", n.Addr, n.Link)
		} else {
			t.line("ip neigh replace %s lladdr %s dev %s nud permanent", n.Addr, p.MAC, n.Link)
		}
	}
}

func (p Plan) insideText(t *text) {
	t.line("# in the VPS")
	t.line("ip link set lo up")
	if p.Mode == ModeNone {
		return
	}
	if p.HasIPv6() {
		t.line("ip link set %s addrgenmode eui64", p.Interface)
	}
	for _, a := range p.Addresses {
		nodad := ""
		if a.Addr().Is6() {
			nodad = " nodad"
		}
		t.line("ip addr replace %s dev %s%s", a, p.Interface, nodad)
	}
	t.line("ip link set %s up", p.Interface)
	for _, w := range p.DefaultRoutes() {
		to, onlink := w.To.String(), ""
		if w.To.Bits() == 0 {
			to = "default"
		}
		if vps.NeedsOnLink(w.Via) {
			onlink = " onlink"
		}
		t.line("ip route replace %s via %s dev %s%s", to, w.Via, p.Interface, onlink)
	}
}

func (p Plan) portFlagsText() string {
	var words []string
	for _, f := range p.PortFlags() {
		state := "off"
		if f.On {
			state = "on"
		}
		words = append(words, f.name+" "+state)
	}
	return strings.Join(words, " ")
}

// addressWords is what address adds, in words of ip(8).
func addressWords(p netip.Prefix) string {
	switch {
	case p.Addr().Is6():
		return " nodad"
	case vps.NeedsOnLink(p.Addr()):
		return " scope host"
	}
	return ""
}
