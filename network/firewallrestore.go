package network

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"croft/internal/vps"
)

// A countedLine is a rule with its counters, as iptables-save -c prints it.
type countedLine struct {
	chain, spec    string
	packets, bytes uint64
}

// ParseCounted parses the output of iptables-save -c for the table filter.
func ParseCounted(text string) (SavedRules, []countedLine) {
	var plain strings.Builder
	var lines []countedLine
	for line := range strings.Lines(text) {
		counts, rule, counted := strings.Cut(line, "] ")
		if !counted || !strings.HasPrefix(counts, "[") {
			plain.WriteString(line)
			continue
		}
		plain.WriteString(rule)
		packets, bytes, _ := strings.Cut(counts[1:], ":")
		chain, spec, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(rule), "-A "), " ")
		l := countedLine{chain: chain, spec: strings.ReplaceAll(spec, `"`, "")}
		l.packets, _ = strconv.ParseUint(packets, 10, 64)
		l.bytes, _ = strconv.ParseUint(bytes, 10, 64)
		lines = append(lines, l)
	}
	return ParseSavedRules(plain.String()), lines
}

// RestoreFirewall returns the input of iptables-restore --noflush --counters
// that makes croft's chains match f; "" if they match already. iptables-restore
// applies it atomically. now holds the present rules. Unchanged rules keep
// their counters. The input changes only croft's chains and the one jump to
// each.
func RestoreFirewall(f vps.Firewall, six bool, now SavedRules, counts []countedLine) string {
	var chains, rules, removed strings.Builder
	for _, chain := range vps.FirewallChains() {
		j := firewallJump(chain)
		lines := firewallLines(f, chain, six)
		there, jumps := now.HasChain(j.Table, j.To), now.Jumps(j)
		if len(lines) == 0 && !there {
			continue
		}
		fmt.Fprintf(&chains, ":%s - [0:0]\n", j.To) // creates or empties the chain
		keep := 1
		if len(lines) == 0 {
			keep = 0
			fmt.Fprintf(&removed, "-X %s\n", j.To)
		}
		for ; jumps > keep; jumps-- {
			fmt.Fprintf(&rules, "-D %s -j %s\n", j.From, j.To)
		}
		for _, l := range lines {
			fmt.Fprintf(&rules, "%s-A %s %s\n", countOf(counts, j.To, l.spec), j.To, l.spec)
		}
		if jumps < keep { // first: the VPS's own rules come after it
			fmt.Fprintf(&rules, "-I %s 1 -j %s\n", j.From, j.To)
		}
	}
	if chains.Len() == 0 {
		return ""
	}
	return "*filter\n" + chains.String() + rules.String() + removed.String() + "COMMIT\n"
}

func countOf(counts []countedLine, chain, spec string) string {
	i := slices.IndexFunc(counts, func(l countedLine) bool { return l.chain == chain && l.spec == spec })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("[%d:%d] ", counts[i].packets, counts[i].bytes)
}

// A FirewallInfo shows the saved firewall and its state in the kernel. Its JSON
// keys are stable.
type FirewallInfo struct {
	Name     vps.Name             `json:"name"`
	Applied  bool                 `json:"applied"` // the VPS runs, and the kernel has the whole firewall
	Running  bool                 `json:"running"`
	Policies []FirewallPolicyInfo `json:"policies"`
	Rules    []FirewallRuleInfo   `json:"rules"`
	Others   []FirewallLineInfo   `json:"others"` // rules in croft's chains that croft did not add
}

// A FirewallPolicyInfo shows the policy of a chain: the action for packets that
// match no rule.
type FirewallPolicyInfo struct {
	Chain   string `json:"chain"`
	Policy  string `json:"policy"`
	Applied bool   `json:"applied"`
	Packets uint64 `json:"packets"` // dropped by the policy
	Bytes   uint64 `json:"bytes"`
}

// A FirewallRuleInfo shows a saved rule, whether the kernel has it, and its
// counters.
type FirewallRuleInfo struct {
	Number   int      `json:"number"` // from 1, in the order of evaluation
	Chain    string   `json:"chain"`
	Action   string   `json:"action"`
	Protocol string   `json:"protocol"`
	Ports    []string `json:"ports"`
	From     string   `json:"from"`
	To       string   `json:"to"`
	States   []string `json:"states"`
	Applied  bool     `json:"applied"`
	Packets  uint64   `json:"packets"`
	Bytes    uint64   `json:"bytes"`
}

// A FirewallLineInfo shows a rule in the syntax of iptables.
type FirewallLineInfo struct {
	Family  string `json:"family"` // ipv4, ipv6
	Chain   string `json:"chain"`
	Rule    string `json:"rule"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// SavedFirewall describes the saved firewall f of the VPS name, as not applied.
func SavedFirewall(f vps.Firewall, name vps.Name) FirewallInfo {
	info := FirewallInfo{Name: name, Policies: []FirewallPolicyInfo{}, Rules: []FirewallRuleInfo{}, Others: []FirewallLineInfo{}}
	for _, chain := range vps.FirewallChains() {
		info.Policies = append(info.Policies, FirewallPolicyInfo{Chain: chain, Policy: f.Policy(chain)})
	}
	for i, r := range f.Rules {
		info.Rules = append(info.Rules, FirewallRuleInfo{Number: i + 1, Chain: r.Chain, Action: r.Action, Protocol: r.Protocol,
			Ports: append([]string{}, r.Ports...), From: r.From, To: r.To, States: append([]string{}, r.States...)})
	}
	return info
}

// A LiveFirewallFamily holds the present rules of one family's table filter.
type LiveFirewallFamily struct {
	Six   bool
	Now   SavedRules
	Lines []countedLine
}

// LiveFirewall describes the firewall f and its state in the kernel.
func LiveFirewall(f vps.Firewall, name vps.Name, families []LiveFirewallFamily) FirewallInfo {
	info := SavedFirewall(f, name)
	info.Running, info.Applied = true, true
	for i := range info.Rules {
		info.Rules[i].Applied = true
	}
	for i := range info.Policies {
		info.Policies[i].Applied = true
	}
	for _, family := range families {
		for i, chain := range vps.FirewallChains() {
			info.look(f, family, i, chain)
		}
	}
	return info
}

// look compares one chain of one family with the rules that f wants there.
func (info *FirewallInfo) look(f vps.Firewall, family LiveFirewallFamily, policy int, chain string) {
	j := firewallJump(chain)
	want := firewallLines(f, chain, family.Six)
	reached := len(want) == 0 || family.Now.Jumps(j) > 0
	left := slices.DeleteFunc(slices.Clone(family.Lines), func(l countedLine) bool { return l.chain != j.To })
	for _, w := range want {
		at := slices.IndexFunc(left, func(l countedLine) bool { return l.spec == w.spec })
		there := reached && at >= 0
		info.Applied = info.Applied && there
		var found countedLine
		if at >= 0 {
			found = left[at]
			left = slices.Delete(left, at, at+1)
		}
		switch {
		case w.number > 0:
			r := &info.Rules[w.number-1]
			r.Applied, r.Packets, r.Bytes = r.Applied && there, r.Packets+found.packets, r.Bytes+found.bytes
		case w.policy:
			p := &info.Policies[policy]
			p.Applied, p.Packets, p.Bytes = p.Applied && there, p.Packets+found.packets, p.Bytes+found.bytes
		}
	}
	name := "ipv4"
	if family.Six {
		name = "ipv6"
	}
	for _, l := range left {
		info.Others = append(info.Others, FirewallLineInfo{name, l.chain, l.spec, l.packets, l.bytes})
	}
}
