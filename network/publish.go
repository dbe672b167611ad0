package network

import (
	"fmt"
	"net/netip"
	"strings"

	"croft/internal/vps"
)

// A Published is what leads to one interface of a VPS.
type Published struct {
	Plan  Plan
	Ports []vps.Publication
}

// croft's chains that translate published ports, in addition to
// CROFT-POSTROUTING.
const (
	chainPrerouting = "CROFT-PREROUTING"
	chainOutput     = "CROFT-OUTPUT"
)

func publishJumps() []Jump {
	return []Jump{
		{"nat", "PREROUTING", chainPrerouting},
		{"nat", "OUTPUT", chainOutput},
		{"nat", "POSTROUTING", chainPostrouting},
	}
}

// comment identifies the owner of a rule. Names of networks contain no ":".
func (p Published) comment() string { return p.Plan.Network + ":" + string(p.Plan.Owner) }

// device is the link on which the VPS's answers reach the host.
func (p Published) Device() string {
	if p.Plan.Bridge != "" {
		return p.Plan.Bridge
	}
	return p.Plan.HostLink
}

// target returns the VPS's address of the family; the zero Addr if it has none.
func (p Published) target(six bool) netip.Addr {
	for _, a := range p.Plan.Addresses {
		if a.Addr().Is6() == six {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// rules returns the iptables rules of p in one family. PREROUTING translates
// packets from outside and from VPSs, OUTPUT those of the host itself. Source
// addresses do not change, with two exceptions: packets that a VPS sends to
// itself through the host, and packets from the host's loopback address, which
// no answer could reach.
func (p Published) rules(six bool) []Rule {
	to := p.target(six)
	if !to.IsValid() {
		return nil
	}
	var out []Rule
	add := func(chain, format string, args ...any) {
		out = append(out, Rule{six, "nat", chain, fmt.Sprintf(format, args...)})
	}
	loopback, any := false, false
	for _, port := range p.Ports {
		if !port.InFamily(six) {
			continue
		}
		any, loopback = true, loopback || port.OnLoopback()
		spec := translation(port, to, p.comment())
		if !port.HostAddr().IsLoopback() { // otherwise machines on the host's LAN could send there
			add(chainPrerouting, "%s", spec)
		}
		add(chainOutput, "%s", spec)
	}
	itself := netip.PrefixFrom(to, to.BitLen())
	if any {
		add(chainPostrouting, "-s %s -d %s -m comment --comment %s -j MASQUERADE", itself, itself, p.comment())
	}
	if loopback {
		add(chainPostrouting, "-s %s -d %s -m comment --comment %s -j MASQUERADE", loopbackOf(six), itself, p.comment())
	}
	return out
}

func loopbackOf(six bool) string {
	if six {
		return "::1/128"
	}
	return "127.0.0.0/8"
}

// translation is the rule for p as iptables-save prints it. A range that keeps its
// numbers needs none; one that does not names the port that its first one was
// (kernel 4.18).
func translation(p vps.Publication, to netip.Addr, comment string) string {
	var words []string
	if !p.OnEveryAddress() {
		words = append(words, "-d", netip.PrefixFrom(p.HostAddr(), p.HostAddr().BitLen()).String())
	}
	words = append(words, "-p", p.Protocol)
	if p.OnEveryAddress() {
		words = append(words, "-m", "addrtype", "--dst-type", "LOCAL")
	}
	words = append(words, "-m", p.Protocol, "--dport", strings.Replace(p.Ports, "-", ":", 1), "-m", "comment", "--comment", comment)
	first, last, _ := vps.ParsePorts(p.Ports)
	target := netip.AddrPortFrom(to, 0).String()
	target = strings.TrimSuffix(target, "0") + p.To
	switch {
	case first == last:
	case p.Ports == p.To:
		target = to.String()
	default:
		target += fmt.Sprintf("/%d", first)
	}
	return strings.Join(append(words, "-j", "DNAT", "--to-destination", target), " ")
}

// String is what p needs of the host in words of iptables(8), sysctl(8) and
// ip(8), one object a line.
func (p Published) String() string {
	var b strings.Builder
	for _, six := range []bool{false, true} {
		name := "iptables"
		if six {
			name = "ip6tables"
		}
		for _, r := range p.rules(six) {
			fmt.Fprintf(&b, "%s -w -t %s -A %s %s\n", name, r.Table, r.Chain, r.Spec)
		}
		if FromLoopback(p.rules(six), p.Plan.Network) {
			if six {
				fmt.Fprintf(&b, "ip route add local ::1 dev %s table local metric %d\n", p.Device(), LoopbackMetric)
			} else {
				fmt.Fprintf(&b, "sysctl net.ipv4.conf.%s.route_localnet=1\n", p.Device())
			}
		}
	}
	return b.String()
}

// fromLoopback reports whether rules translate for the host's loopback address
// to VPSs of a network.
func FromLoopback(rules []Rule, network string) bool {
	for _, r := range rules {
		if r.Chain == chainPostrouting && strings.HasPrefix(r.Spec, "-s "+loopbackOf(r.Six)+" ") && strings.Contains(r.Spec, " --comment "+network+":") {
			return true
		}
	}
	return false
}

// Publishes reports whether ports of the host can lead to VPSs of the network:
// their answers have to come back by way of the host.
func (t Table) Publishes() bool { return t.Mode == ModeBridge }

// loopbackMetric is behind that of the kernel's own route to ::1, which is 0.
const LoopbackMetric = 1024
