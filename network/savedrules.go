package network

import (
	"fmt"
	"slices"
	"strings"
)

// SavedRules is parsed output of iptables-save: lines by table, without quotes.
type SavedRules map[string][]string

// ParseSavedRules parses the output of iptables-save.
func ParseSavedRules(text string) SavedRules {
	s := SavedRules{}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.ReplaceAll(strings.TrimSpace(line), `"`, "")
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, "-A "), strings.HasPrefix(line, ":"):
			s[table] = append(s[table], line)
		}
	}
	return s
}

// HasChain reports whether the chain exists.
func (s SavedRules) HasChain(table, chain string) bool {
	return slices.ContainsFunc(s[table], func(l string) bool { return strings.HasPrefix(l, ":"+chain+" ") })
}

// Specs returns the specs of a chain's rules.
func (s SavedRules) Specs(table, chain string) []string {
	var out []string
	for _, line := range s[table] {
		if spec, ok := strings.CutPrefix(line, "-A "+chain+" "); ok {
			out = append(out, spec)
		}
	}
	return out
}

// SpecsOf returns the specs in a chain of croft that belong to one network.
func (s SavedRules) SpecsOf(table, chain, network string) []string {
	return slices.DeleteFunc(s.Specs(table, chain), func(spec string) bool {
		return !strings.Contains(spec+" ", " --comment "+network+" ")
	})
}

// Jumps returns how many times the jump j exists.
func (s SavedRules) Jumps(j Jump) int {
	n := 0
	for _, spec := range s.Specs(j.Table, j.From) {
		if spec == "-j "+j.To {
			n++
		}
	}
	return n
}

// Matches reports whether the present rules are exactly the wanted ones, the
// guards of each network stand before all rules that let packets out, and one
// jump leads to them.
func (s SavedRules) Matches(network string, want []Rule) bool {
	for _, j := range Jumps() {
		specs := specsIn(want, j)
		if len(specs) == 0 {
			continue
		}
		if s.Jumps(j) != 1 || !slices.Equal(s.SpecsOf(j.Table, j.To, network), specs) {
			return false
		}
		all := s.Specs(j.Table, j.To)
		open := slices.IndexFunc(all, func(spec string) bool { return !isGuard(spec) })
		if open >= 0 && slices.ContainsFunc(all[open:], isGuard) {
			return false
		}
	}
	return true
}

// specsIn are the rules in the chain that a jump leads to.
func specsIn(rules []Rule, j Jump) []string {
	var out []string
	for _, r := range rules {
		if r.Table == j.Table && r.Chain == j.To {
			out = append(out, r.Spec)
		}
	}
	return out
}

// isGuard reports whether a rule matches the output link of packets. Such rules
// stand before rules that match only the input link.
func isGuard(spec string) bool { return strings.Contains(" "+spec, " -o ") }

// RepairText returns the input of iptables-restore --noflush that corrects a
// network's rules. iptables-restore replaces each table atomically, so networks
// are never without guards between them. The guards of all networks stand
// before all rules that let packets out.
func RepairText(now SavedRules, network string, want []Rule) string {
	var b strings.Builder
	for _, table := range []string{"filter", "nat"} {
		var chains, rules strings.Builder
		for _, j := range Jumps() {
			specs := specsIn(want, j)
			if j.Table != table || len(specs) == 0 {
				continue
			}
			if !now.HasChain(table, j.To) {
				fmt.Fprintf(&chains, ":%s - [0:0]\n", j.To)
			}
			for _, spec := range now.SpecsOf(table, j.To, network) {
				fmt.Fprintf(&rules, "-D %s %s\n", j.To, spec)
			}
			guards := 0
			for _, spec := range specs {
				if isGuard(spec) {
					guards++
					fmt.Fprintf(&rules, "-I %s %d %s\n", j.To, guards, spec)
				} else {
					fmt.Fprintf(&rules, "-A %s %s\n", j.To, spec)
				}
			}
			n := now.Jumps(j)
			if n == 0 { // first, since most other tools end with a verdict for everything
				fmt.Fprintf(&rules, "-I %s 1 -j %s\n", j.From, j.To)
			}
			for ; n > 1; n-- {
				fmt.Fprintf(&rules, "-D %s -j %s\n", j.From, j.To)
			}
		}
		if rules.Len() > 0 {
			fmt.Fprintf(&b, "*%s\n%s%sCOMMIT\n", table, chains.String(), rules.String())
		}
	}
	return b.String()
}
