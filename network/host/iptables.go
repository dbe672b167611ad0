package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"croft/internal/fail"
	"croft/network"
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

// ensureRules compares the wanted rules with the output of iptables-save, one
// process for each family, unless they are those that were right before. Only if
// something is missing it takes the lock and repairs.
func (h *Host) ensureRules(ctx context.Context, p network.HostPlan) error {
	for _, six := range []bool{false, true} {
		want := p.RulesOf(six)
		if len(want) == 0 {
			continue
		}
		kernel := h.rulesInKernel(six)
		if h.seenRight(p.Network, six, want, kernel) {
			continue
		}
		saved, err := savedRules(ctx, six)
		if err != nil {
			return err
		}
		if saved.Matches(p.Network, want) {
			h.noteRight(p.Network, six, want, kernel)
			continue
		}
		if err := h.repairRules(ctx, p.Network, six, want); err != nil {
			return err
		}
	}
	return nil
}

func savedRules(ctx context.Context, six bool) (network.SavedRules, error) {
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
	return network.ParseSavedRules(string(out)), nil
}

func (h *Host) repairRules(ctx context.Context, name string, six bool, want []network.Rule) error {
	unlock, err := h.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := savedRules(ctx, six) // again, with the lock held
	if err != nil || now.Matches(name, want) {
		return err
	}
	if _, err := runFilterTool(ctx, six, "restore", network.RepairText(now, name, want), "--noflush", "-w", fmt.Sprint(lockSeconds)); err != nil {
		return fmt.Errorf("set rules of iptables: %w", err)
	}
	return nil
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

// removeRules removes the network's rules, and croft's chains that are empty
// then, with their jumps. The caller holds the lock.
func (h *Host) removeRules(ctx context.Context, p network.HostPlan) error {
	h.forgetRules(p.Network)
	var errs []error
	for _, six := range []bool{false, true} {
		if len(p.RulesOf(six)) == 0 {
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
		for _, j := range network.Jumps() {
			errs = append(errs, emptyChain(ipt, now, j, p.Network))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove rules of iptables: %w", err)
	}
	return nil
}

func emptyChain(ipt *iptables.IPTables, now network.SavedRules, j network.Jump, network string) error {
	mine := now.SpecsOf(j.Table, j.To, network)
	for _, spec := range mine {
		if err := ipt.Delete(j.Table, j.To, strings.Fields(spec)...); err != nil {
			return err
		}
	}
	if !now.HasChain(j.Table, j.To) || len(now.Specs(j.Table, j.To)) > len(mine) {
		return nil
	}
	for range now.Jumps(j) {
		if err := ipt.Delete(j.Table, j.From, "-j", j.To); err != nil {
			return err
		}
	}
	return ipt.DeleteChain(j.Table, j.To)
}
