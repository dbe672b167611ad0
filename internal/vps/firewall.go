package vps

import (
	"fmt"
	"slices"
	"strings"

	"croft/internal/fail"
)

// A Firewall says which packets may enter, leave and pass through a VPS. croft
// applies it in the VPS's own network namespace. The zero value filters nothing.
//
// The rules of a chain are checked in their order, and the first match decides.
// A packet that no rule matches is accepted if it belongs to a connection that
// was accepted before; otherwise the policy of the chain decides. Accepted
// packets then pass the VPS's own rules. Loopback and neighbour discovery are
// always accepted.
type Firewall struct {
	Input   string         `json:"input,omitempty"` // policy: PolicyDrop; "" or PolicyAccept
	Output  string         `json:"output,omitempty"`
	Forward string         `json:"forward,omitempty"`
	Rules   []FirewallRule `json:"rules,omitempty"`
}

// A FirewallRule is one rule of a Firewall. An empty field matches anything.
type FirewallRule struct {
	Chain    string   `json:"chain"`              // ChainInput, ChainOutput or ChainForward
	Action   string   `json:"action"`             // ActionAllow, ActionDeny or ActionReject
	Protocol string   `json:"protocol,omitempty"` // tcp, udp, icmp; icmp matches ICMPv6 too
	Ports    []string `json:"ports,omitempty"`    // destination ports, "80" or "8000-8100"; without a protocol they are tcp and udp
	From     string   `json:"from,omitempty"`     // an address or a prefix
	To       string   `json:"to,omitempty"`
	States   []string `json:"states,omitempty"` // of the connection: new, established, related, invalid
}

// The chains of a Firewall.
const (
	ChainInput   = "input"
	ChainOutput  = "output"
	ChainForward = "forward"
)

// The policies of a chain and the actions of a rule.
const (
	PolicyAccept = "accept"
	PolicyDrop   = "drop"

	ActionAllow  = "allow"
	ActionDeny   = "deny"   // dropped without an answer
	ActionReject = "reject" // the sender gets an ICMP error
)

// FirewallChains are the chains in the order in which they are listed.
func FirewallChains() []string { return []string{ChainInput, ChainOutput, ChainForward} }

// FirewallStates are the states of a connection, in iptables' order.
func FirewallStates() []string { return []string{"invalid", "new", "related", "established"} }

// Policy returns the policy of a chain.
func (f Firewall) Policy(chain string) string {
	policy := map[string]string{ChainInput: f.Input, ChainOutput: f.Output, ChainForward: f.Forward}[chain]
	if policy == "" {
		return PolicyAccept
	}
	return policy
}

// Any reports whether the firewall filters anything.
func (f Firewall) Any() bool {
	return len(f.Rules) > 0 || slices.ContainsFunc(FirewallChains(), func(c string) bool { return f.Policy(c) == PolicyDrop })
}

// Check returns fail.Usage for an invalid firewall and names the rule.
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

// CheckChain returns an error for a word that is not one of FirewallChains.
func CheckChain(chain string) error {
	if !slices.Contains(FirewallChains(), chain) {
		return fmt.Errorf("unknown chain %q: use input, output or forward", chain)
	}
	return nil
}

// CheckState returns an error for a word that is not one of FirewallStates.
func CheckState(state string) error {
	if !slices.Contains(FirewallStates(), state) {
		return fmt.Errorf("unknown state %q: use %s", state, strings.Join(FirewallStates(), ", "))
	}
	return nil
}

// maxPorts is how many ports one rule of iptables can name; a range counts as
// two (XT_MULTI_PORTS, linux/netfilter/xt_multiport.h).
const maxPorts = 15

func (r FirewallRule) check() error {
	if err := CheckChain(r.Chain); err != nil {
		return err
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
		first, last, err := ParsePorts(p)
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
		if err := CheckState(s); err != nil {
			return err
		}
	}
	_, err := family(r.From, r.To)
	return err
}

// Same reports whether r and o are the same rule. The spelling of addresses and
// the order of ports and states do not matter.
func (r FirewallRule) Same(o FirewallRule) bool {
	set := func(words []string) []string { return slices.Compact(slices.Sorted(slices.Values(words))) }
	return r.Chain == o.Chain && r.Action == o.Action && r.Protocol == o.Protocol &&
		CanonicalPrefix(r.From) == CanonicalPrefix(o.From) && CanonicalPrefix(r.To) == CanonicalPrefix(o.To) &&
		slices.Equal(set(r.Ports), set(o.Ports)) && slices.Equal(set(r.States), set(o.States))
}

// String is the rule in the words of croft firewall.
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
