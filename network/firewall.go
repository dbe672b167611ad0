package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"croft/internal/fail"
)

// A Firewall is what croft lets into, out of and through a VPS. Its rules are
// applied in the VPS's own network namespace. The zero value is none at all.
//
// The rules of a chain are looked at in their order, and the first that
// matches decides. What none matches passes if it belongs to a connection that
// was let through, and else the chain's policy decides. What passes then meets
// the VPS's own rules. Loopback and neighbour discovery always pass.
type Firewall struct {
	Input, Output, Forward string // policies: PolicyDrop; "" or PolicyAccept
	Rules                  []FirewallRule
}

// A FirewallRule is one rule of a Firewall. An empty field matches anything.
type FirewallRule struct {
	Chain    string   // ChainInput, ChainOutput or ChainForward
	Action   string   // ActionAllow, ActionDeny or ActionReject
	Protocol string   // tcp, udp, icmp: ICMPv6 as well
	Ports    []string // destinations, "80" or "8000-8100", of tcp or udp, or of both
	From, To string   // an address or a prefix
	States   []string // of the connection: new, established, related, invalid
}

// The chains of a Firewall.
const (
	ChainInput   = "input"
	ChainOutput  = "output"
	ChainForward = "forward"
)

// What becomes of a packet.
const (
	PolicyAccept = "accept"
	PolicyDrop   = "drop"

	ActionAllow  = "allow"
	ActionDeny   = "deny"   // dropped silently
	ActionReject = "reject" // refused, with an ICMP error
)

// FirewallChains are the chains in the order in which they are listed.
func FirewallChains() []string { return []string{ChainInput, ChainOutput, ChainForward} }

// FirewallStates are the states of a connection, in iptables' order.
func FirewallStates() []string { return []string{"invalid", "new", "related", "established"} }

// Policy returns what becomes of what no rule of the chain matches.
func (f Firewall) Policy(chain string) string {
	policy := map[string]string{ChainInput: f.Input, ChainOutput: f.Output, ChainForward: f.Forward}[chain]
	if policy == "" {
		return PolicyAccept
	}
	return policy
}

// Check refuses with fail.Usage what no firewall can be made of, naming the rule.
func (f Firewall) Check() error {
	for _, chain := range FirewallChains() {
		if p := f.Policy(chain); p != PolicyAccept && p != PolicyDrop {
			return fail.New(fail.Usage, "unknown policy %q: use accept or drop", p)
		}
	}
	for i, r := range f.Rules {
		if err := r.check(); err != nil {
			return fail.New(fail.Usage, "firewall rule %d: %w", i+1, err)
		}
	}
	return nil
}

// maxPorts is how many ports one rule of iptables can name, a range being two
// (XT_MULTI_PORTS, linux/netfilter/xt_multiport.h).
const maxPorts = 15

func (r FirewallRule) check() error {
	if !slices.Contains(FirewallChains(), r.Chain) {
		return fmt.Errorf("unknown chain %q: use input, output or forward", r.Chain)
	}
	if !slices.Contains([]string{ActionAllow, ActionDeny, ActionReject}, r.Action) {
		return fmt.Errorf("unknown action %q: use allow, deny or reject", r.Action)
	}
	if !slices.Contains([]string{"", "tcp", "udp", "icmp"}, r.Protocol) {
		return fmt.Errorf("unknown protocol %q: use tcp, udp or icmp", r.Protocol)
	}
	if len(r.Ports) > 0 && r.Protocol == "icmp" {
		return fmt.Errorf("icmp has no ports")
	}
	used := 0
	for _, p := range r.Ports {
		first, last, err := portRange(p)
		if err != nil {
			return err
		}
		used++
		if first != last {
			used++
		}
	}
	if used > maxPorts {
		return fmt.Errorf("more than %d ports (a range counts as two)", maxPorts)
	}
	for _, s := range r.States {
		if !slices.Contains(FirewallStates(), s) {
			return fmt.Errorf("unknown state %q: use %s", s, strings.Join(FirewallStates(), ", "))
		}
	}
	from, err := ruleAddress(r.From)
	if err != nil {
		return err
	}
	to, err := ruleAddress(r.To)
	if err != nil {
		return err
	}
	if from.IsValid() && to.IsValid() && from.Addr().Is4() != to.Addr().Is4() {
		return fmt.Errorf("%s and %s are of different families", r.From, r.To)
	}
	return nil
}

// Same reports whether r and o are one rule, however their addresses, ports and
// states are written and ordered.
func (r FirewallRule) Same(o FirewallRule) bool {
	set := func(words []string) []string { return slices.Compact(slices.Sorted(slices.Values(words))) }
	return r.Chain == o.Chain && r.Action == o.Action && r.Protocol == o.Protocol &&
		canonical(r.From) == canonical(o.From) && canonical(r.To) == canonical(o.To) &&
		slices.Equal(set(r.Ports), set(o.Ports)) && slices.Equal(set(r.States), set(o.States))
}

// String is the rule in words of croft firewall.
func (r FirewallRule) String() string {
	words := []string{r.Action}
	if r.Action == ActionReject {
		words[0] = ActionDeny
	}
	switch what := strings.Join(r.Ports, ","); {
	case what != "" && r.Protocol != "":
		words = append(words, what+"/"+r.Protocol)
	case what+r.Protocol != "":
		words = append(words, what+r.Protocol)
	}
	add := func(option, value string) {
		if value != "" {
			words = append(words, "--"+option, value)
		}
	}
	add("from", r.From)
	add("to", r.To)
	add("state", strings.Join(r.States, ","))
	if r.Chain != ChainInput {
		add("chain", r.Chain)
	}
	if r.Action == ActionReject {
		words = append(words, "--reject")
	}
	return strings.Join(words, " ")
}

// portRange reads "80" or "8000-8100".
func portRange(s string) (first, last uint64, err error) {
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	first, err1 := strconv.ParseUint(low, 10, 16)
	last, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || first == 0 || last < first || low != strconv.FormatUint(first, 10) {
		return 0, 0, fmt.Errorf("invalid port or range %q (for example 80, 8000-8100)", s)
	}
	return first, last, nil
}

// ruleAddress reads an address or a prefix, as iptables-save prints it; "" is
// the zero Prefix.
func ruleAddress(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("invalid address or prefix %q", s)
	}
	return p.Masked(), nil
}

// A firewallLine is a rule of iptables with what it comes from: a rule's
// number from 1, or 0 for what the chain has of itself.
type firewallLine struct {
	number int
	spec   string // as iptables-save prints it
	policy bool   // it drops what nobody decided on
}

// lines is what one chain of ours says; empty if there is nothing to say.
// Allowed is RETURN and not ACCEPT: the VPS's own rules come after ours, and
// can be stricter.
func (f Firewall) lines(chain string, six bool) []firewallLine {
	var mine []firewallLine
	for i, r := range f.Rules {
		if r.Chain != chain {
			continue
		}
		for _, spec := range r.specs(six) {
			mine = append(mine, firewallLine{number: i + 1, spec: spec})
		}
	}
	drops := f.Policy(chain) == PolicyDrop
	if len(mine) == 0 && !drops {
		return nil
	}
	var out []firewallLine
	own := func(spec string) { out = append(out, firewallLine{spec: spec}) }
	switch chain {
	case ChainInput:
		own("-i lo -j RETURN")
	case ChainOutput:
		own("-o lo -j RETURN")
	}
	if six {
		// Router and neighbour solicitation and advertisement (RFC 4861):
		// without them there is no IPv6 at all.
		for _, kind := range []int{133, 134, 135, 136} {
			own(fmt.Sprintf("-p ipv6-icmp -m icmp6 --icmpv6-type %d -j RETURN", kind))
		}
	}
	out = append(out, mine...)
	if drops {
		own("-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
		out = append(out, firewallLine{spec: "-j DROP", policy: true})
	}
	return out
}

// specs are the rules of iptables that r needs, none if it is about the other
// family alone.
func (r FirewallRule) specs(six bool) []string {
	from, _ := ruleAddress(r.From) // Check vouches for both
	to, _ := ruleAddress(r.To)
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
	for _, s := range FirewallStates() {
		if slices.Contains(states, s) {
			list = append(list, strings.ToUpper(s))
		}
	}
	return strings.Join(list, ",")
}

func target(action string, six bool) []string {
	switch {
	case action == ActionAllow:
		return []string{"-j", "RETURN"}
	case action == ActionDeny:
		return []string{"-j", "DROP"}
	case six:
		return []string{"-j", "REJECT", "--reject-with", "icmp6-port-unreachable"}
	}
	return []string{"-j", "REJECT", "--reject-with", "icmp-port-unreachable"}
}

// firewallJump leads from a built-in chain to ours.
func firewallJump(chain string) jump {
	builtIn := strings.ToUpper(chain)
	return jump{"filter", builtIn, "CROFT-" + builtIn}
}

// Any reports whether there is anything to apply.
func (f Firewall) Any() bool {
	return len(f.Rules) > 0 || slices.ContainsFunc(FirewallChains(), func(c string) bool { return f.Policy(c) == PolicyDrop })
}
