package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"croft/internal/fail"
)

// findTool looks along PATH and where system tools live, which a PATH that
// some programs start others with leaves out.
func findTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", notInstalled(name)
}

func notInstalled(name string) error {
	return fail.New(fail.Host, "%s is not installed", name).
		WithHint("install the package iptables (apt-get install iptables; dnf install iptables-nft; apk add iptables; pacman -S iptables-nft)")
}

func checkTools(six bool) error {
	for _, name := range toolNames(six) {
		if _, err := findTool(name); err != nil {
			return err
		}
	}
	return nil
}

func toolNames(six bool) []string {
	names := []string{"iptables", "iptables-restore", "iptables-save"}
	if six {
		names = append(names, "ip6tables", "ip6tables-restore", "ip6tables-save")
	}
	return names
}

// ensureRules compares what iptables-save prints, one process for each
// family, and only where something is missing takes the lock and mends it.
func (h *Host) ensureRules(ctx context.Context, p HostPlan) error {
	for _, six := range []bool{false, true} {
		want := p.rulesOf(six)
		if len(want) == 0 {
			continue
		}
		saved, err := savedRules(ctx, six)
		if err != nil {
			return err
		}
		if saved.match(p.Network, want) {
			continue
		}
		if err := h.mendRules(ctx, p.Network, six, want); err != nil {
			return err
		}
	}
	return nil
}

// saved is what iptables-save printed: lines by table, quotes left out.
type saved map[string][]string

func savedRules(ctx context.Context, six bool) (saved, error) {
	names := toolNames(six)
	path, err := findTool(names[len(names)-1])
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, classify("list rules of iptables: "+strings.TrimSpace(stderr.String()), err)
	}
	return parseSaved(string(out)), nil
}

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

func (h *Host) mendRules(ctx context.Context, network string, six bool, want []Rule) error {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	now, err := savedRules(ctx, six) // again, now that nobody else changes it
	if err != nil || now.match(network, want) {
		return err
	}
	if _, err := runFilterTool(ctx, six, "restore", repairText(now, network, want), "--noflush", "-w", fmt.Sprint(lockSeconds)); err != nil {
		return fmt.Errorf("set rules of iptables: %w", err)
	}
	return nil
}

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

// lockSeconds is how long iptables waits for another iptables.
const lockSeconds = 30

func openIPTables(six bool) (*iptables.IPTables, error) {
	names, proto := toolNames(six), iptables.ProtocolIPv4
	if six {
		proto = iptables.ProtocolIPv6
	}
	path, err := findTool(names[len(names)-3])
	if err != nil {
		return nil, err
	}
	ipt, err := iptables.New(iptables.IPFamily(proto), iptables.Timeout(lockSeconds), iptables.Path(path))
	if err != nil {
		return nil, fail.New(fail.Host, "run %s: %w", path, err)
	}
	return ipt, nil
}

// removeRules takes the network's rules out, and chains of ours that are
// empty then, with their jumps. The caller holds the lock.
func (h *Host) removeRules(ctx context.Context, p HostPlan) error {
	var errs []error
	for _, six := range []bool{false, true} {
		if len(p.rulesOf(six)) == 0 {
			continue
		}
		now, err := savedRules(ctx, six)
		if err != nil {
			return err
		}
		ipt, err := openIPTables(six)
		if err != nil {
			return err
		}
		for _, j := range jumps() {
			errs = append(errs, emptyChain(ipt, now, j, p.Network))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove rules of iptables: %w", err)
	}
	return nil
}

func emptyChain(ipt *iptables.IPTables, now saved, j jump, network string) error {
	mine := now.of(j.table, j.to, network)
	for _, spec := range mine {
		if err := ipt.Delete(j.table, j.to, strings.Fields(spec)...); err != nil {
			return err
		}
	}
	if !now.hasChain(j.table, j.to) || len(now.in(j.table, j.to)) > len(mine) {
		return nil
	}
	for range now.jumps(j) {
		if err := ipt.Delete(j.table, j.from, "-j", j.to); err != nil {
			return err
		}
	}
	return ipt.DeleteChain(j.table, j.to)
}
