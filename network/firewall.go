package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"croft/internal/vps"
)

// A FirewallRuleLine is a rule of iptables.
type FirewallRuleLine struct {
	number int    // of the user's rule that it comes from, from 1; 0 if croft adds it to each chain
	spec   string // in the format of iptables-save
	policy bool   // it drops packets that match no other rule
}

// firewallLines returns the rules of one of croft's chains; nil if it needs no
// rules. A rule accepts a packet with RETURN and not with ACCEPT: the VPS's own
// rules come after croft's and can be stricter.
func firewallLines(f vps.Firewall, chain string, six bool) []FirewallRuleLine {
	var mine []FirewallRuleLine
	for i, r := range f.Rules {
		if r.Chain != chain {
			continue
		}
		for _, spec := range firewallSpecs(r, six) {
			mine = append(mine, FirewallRuleLine{number: i + 1, spec: spec})
		}
	}
	drops := f.Policy(chain) == vps.PolicyDrop
	if len(mine) == 0 && !drops {
		return nil
	}
	var out []FirewallRuleLine
	own := func(spec string) { out = append(out, FirewallRuleLine{spec: spec}) }
	switch chain {
	case vps.ChainInput:
		own("-i lo -j RETURN")
	case vps.ChainOutput:
		own("-o lo -j RETURN")
	}
	if six {
		// without them IPv6 does not work.
		for _, kind := range []int{133, 134, 135, 136} {
			own(fmt.Sprintf("-p ipv6-icmp -m icmp6 --icmpv6-type %d -j RETURN", kind))
		}
	}
	out = append(out, mine...)
	if drops {
		own("-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
		out = append(out, FirewallRuleLine{spec: "-j DROP", policy: true})
	}
	return out
}

// firewallSpecs returns the iptables rules for r; nil if r is about the other
// family only.
func firewallSpecs(r vps.FirewallRule, six bool) []string {
	from, _ := vps.ParsePrefix(r.From) // Check has checked both
	to, _ := vps.ParsePrefix(r.To)
	for _, p := range []netip.Prefix{from, to} {
		if p.IsValid() && p.Addr().Is6() != six {
			return nil
		}
	}
	protocols := []string{r.Protocol}
	switch {
	case r.Protocol == "" && len(r.Ports) > 0:
		protocols = []string{"tcp", "udp"}
	case r.Protocol == "icmp" && six:
		protocols = []string{"ipv6-icmp"}
	}
	var out []string
	for _, protocol := range protocols {
		var words []string
		if from.IsValid() {
			words = append(words, "-s", from.String())
		}
		if to.IsValid() {
			words = append(words, "-d", to.String())
		}
		if protocol != "" {
			words = append(words, "-p", protocol)
		}
		words = append(words, portMatch(protocol, r.Ports)...)
		if len(r.States) > 0 {
			words = append(words, "-m", "conntrack", "--ctstate", stateList(r.States))
		}
		out = append(out, strings.Join(append(words, target(r.Action, six)...), " "))
	}
	return out
}

func portMatch(protocol string, ports []string) []string {
	var list []string
	for _, p := range ports {
		list = append(list, strings.Replace(p, "-", ":", 1))
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return []string{"-m", protocol, "--dport", list[0]}
	}
	return []string{"-m", "multiport", "--dports", strings.Join(list, ",")}
}

func stateList(states []string) string {
	var list []string
	for _, s := range vps.FirewallStates() {
		if slices.Contains(states, s) {
			list = append(list, strings.ToUpper(s))
		}
	}
	return strings.Join(list, ",")
}

func target(action string, six bool) []string {
	switch {
	case action == vps.ActionAllow:
		return []string{"-j", "RETURN"}
	case action == vps.ActionDeny:
		return []string{"-j", "DROP"}
	case six:
		return []string{"-j", "REJECT", "--reject-with", "icmp6-port-unreachable"}
	}
	return []string{"-j", "REJECT", "--reject-with", "icmp-port-unreachable"}
}

// firewallJump returns the jump from a built-in chain to croft's chain.
func firewallJump(chain string) Jump {
	builtIn := strings.ToUpper(chain)
	return Jump{"filter", builtIn, "CROFT-" + builtIn}
}
