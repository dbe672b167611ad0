package host

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// SetFirewall makes croft's chains in the network namespace of init match f,
// each family atomically, with the host's iptables: the VPS needs no tool. Rules
// of the VPS's own are not changed. The zero Firewall removes croft's chains. A
// second call changes nothing.
func (h *Host) SetFirewall(ctx context.Context, f vps.Firewall, init inside.Identity) error {
	if err := f.Check(); err != nil {
		return err
	}
	err := within(init, func() error {
		for _, six := range families() {
			family, err := readFirewall(ctx, six)
			if err != nil {
				return err
			}
			text := network.RestoreFirewall(f, six, family.Now, family.Lines)
			if text == "" {
				continue
			}
			if _, err := runFilterTool(ctx, six, "restore", text, "--noflush", "--counters", "-w", fmt.Sprint(lockSeconds)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set firewall: %w", err)
	}
	return nil
}

// Firewall reports which rules of f exist in the network namespace of init.
func (h *Host) Firewall(ctx context.Context, name vps.Name, f vps.Firewall, init inside.Identity) (network.FirewallInfo, error) {
	var there []network.LiveFirewallFamily
	err := within(init, func() error {
		for _, six := range families() {
			family, err := readFirewall(ctx, six)
			if err != nil {
				return err
			}
			there = append(there, family)
		}
		return nil
	})
	if err != nil {
		return network.FirewallInfo{}, fmt.Errorf("look at firewall: %w", err)
	}
	return network.LiveFirewall(f, name, there), nil
}

// families are those that the host's kernel has: IPv4, IPv6.
func families() []bool {
	if hasIPv6() {
		return []bool{false, true}
	}
	return []bool{false}
}

func readFirewall(ctx context.Context, six bool) (network.LiveFirewallFamily, error) {
	out, err := runFilterTool(ctx, six, "save", "", "-c", "-t", "filter")
	if err != nil {
		return network.LiveFirewallFamily{}, err
	}
	f := network.LiveFirewallFamily{Six: six}
	f.Now, f.Lines = network.ParseCounted(out)
	return f, nil
}

// runFilterTool runs iptables-save or -restore, in the network namespace of
// the calling thread.
func runFilterTool(ctx context.Context, six bool, tool, input string, args ...string) (string, error) {
	name := "iptables-" + tool
	if six {
		name = "ip6tables-" + tool
	}
	path, err := findTool(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		why := strings.Join(strings.Fields(stderr.String()), " ")
		return "", classify(strings.TrimSpace(name+": "+why), err)
	}
	return string(out), nil
}
