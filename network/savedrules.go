package network

import (
	"fmt"
	"slices"
	"strings"
)

// saved is what iptables-save printed: lines by table, quotes left out.
type saved map[string][]string

func parseSaved(text string) saved {
	s := saved{}
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

func (s saved) hasChain(table, chain string) bool {
	return slices.ContainsFunc(s[table], func(l string) bool { return strings.HasPrefix(l, ":"+chain+" ") })
}

// in returns the specs of a chain's rules.
func (s saved) in(table, chain string) []string {
	var out []string
	for _, line := range s[table] {
		if spec, ok := strings.CutPrefix(line, "-A "+chain+" "); ok {
			out = append(out, spec)
		}
	}
	return out
}

// of returns the specs in a chain of ours that belong to one network.
func (s saved) of(table, chain, network string) []string {
	return slices.DeleteFunc(s.in(table, chain), func(spec string) bool {
		return !strings.Contains(spec+" ", " --comment "+network+" ")
	})
}

func (s saved) jumps(j jump) int {
	n := 0
	for _, spec := range s.in(j.table, j.from) {
		if spec == "-j "+j.to {
			n++
		}
	}
	return n
}

// match reports whether exactly the wanted rules are there, each network's guards
// before everybody's way out, and one jump leads to them.
func (s saved) match(network string, want []Rule) bool {
	for _, j := range jumps() {
		specs := specsIn(want, j)
		if len(specs) == 0 {
			continue
		}
		if s.jumps(j) != 1 || !slices.Equal(s.of(j.table, j.to, network), specs) {
			return false
		}
		all := s.in(j.table, j.to)
		open := slices.IndexFunc(all, func(spec string) bool { return !isGuard(spec) })
		if open >= 0 && slices.ContainsFunc(all[open:], isGuard) {
			return false
		}
	}
	return true
}

// specsIn are the rules in the chain that a jump leads to.
func specsIn(rules []Rule, j jump) []string {
	var out []string
	for _, r := range rules {
		if r.Table == j.table && r.Chain == j.to {
			out = append(out, r.Spec)
		}
	}
	return out
}

// isGuard: rules that say where a packet goes stand before those that only
// say where it comes from.
func isGuard(spec string) bool { return strings.Contains(" "+spec, " -o ") }

// repairText is what iptables-restore --noflush has to read to make a network's
// rules right. Each table changes at one instant: there is none without guards
// between networks. Guards come before what lets out, whichever network's.
func repairText(now saved, network string, want []Rule) string {
	var b strings.Builder
	for _, table := range []string{"filter", "nat"} {
		var chains, rules strings.Builder
		for _, j := range jumps() {
			specs := specsIn(want, j)
			if j.table != table || len(specs) == 0 {
				continue
			}
			if !now.hasChain(table, j.to) {
				fmt.Fprintf(&chains, ":%s - [0:0]\n", j.to)
			}
			for _, spec := range now.of(table, j.to, network) {
				fmt.Fprintf(&rules, "-D %s %s\n", j.to, spec)
			}
			guards := 0
			for _, spec := range specs {
				if isGuard(spec) {
					guards++
					fmt.Fprintf(&rules, "-I %s %d %s\n", j.to, guards, spec)
				} else {
					fmt.Fprintf(&rules, "-A %s %s\n", j.to, spec)
				}
			}
			n := now.jumps(j)
			if n == 0 { // first, since most other tools end with a verdict for everything
				fmt.Fprintf(&rules, "-I %s 1 -j %s\n", j.from, j.to)
			}
			for ; n > 1; n-- {
				fmt.Fprintf(&rules, "-D %s -j %s\n", j.from, j.to)
			}
		}
		if rules.Len() > 0 {
			fmt.Fprintf(&b, "*%s\n%s%sCOMMIT\n", table, chains.String(), rules.String())
		}
	}
	return b.String()
}
