package runtime

import (
	"context"
	"slices"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// FirewallInfo is a firewall as it is saved and as it really is.
type (
	FirewallInfo       = network.FirewallInfo
	FirewallPolicyInfo = network.FirewallPolicyInfo
	FirewallRuleInfo   = network.FirewallRuleInfo
	FirewallLineInfo   = network.FirewallLineInfo
)

// Firewall says what name's firewall is, and what of it is really there.
func (m *Manager) Firewall(ctx context.Context, name string) (FirewallInfo, error) {
	v, err := m.store.Get(name)
	if err != nil {
		return FirewallInfo{}, err
	}
	init, err := m.liveInit(name)
	if err != nil {
		return FirewallInfo{}, err
	}
	if init.PID == 0 {
		return network.SavedFirewall(v.Firewall, name), nil
	}
	return m.networks.Firewall(ctx, name, v.Firewall, init)
}

// AddFirewallRules puts rules before the one that is number at now, or with at
// 0 behind all. It and the other changes of a firewall are applied to a
// running VPS at one instant, and saved for its starts; if applying fails
// nothing is saved.
func (m *Manager) AddFirewallRules(ctx context.Context, name string, rules []vps.FirewallRule, at int) error {
	return m.changeFirewall(ctx, name, func(f *vps.Firewall) error {
		if at == 0 {
			at = len(f.Rules) + 1
		}
		if at < 1 || at > len(f.Rules)+1 {
			return noSuchRule(name, at, len(f.Rules))
		}
		f.Rules = slices.Insert(slices.Clone(f.Rules), at-1, rules...)
		return nil
	})
}

// RemoveFirewallRules removes the chosen rules. Every choice is about the list
// before the first is removed. If one chooses none (fail.NotFound) or several
// (fail.Usage) nothing is removed.
func (m *Manager) RemoveFirewallRules(ctx context.Context, name string, chosen []FirewallChoice) error {
	return m.changeFirewall(ctx, name, func(f *vps.Firewall) error {
		numbers, err := positions(chosen, func(c FirewallChoice) (int, error) { return c.in(f.Rules, name) })
		f.Rules = without(f.Rules, numbers, 0)
		return err
	})
}

func noSuchRule(name string, number, last int) error {
	return fail.New(fail.NotFound, "no rule %d: %s", number, theLast(last)).WithHint("croft firewall %s list", name)
}

// SetFirewallPolicy says what becomes of what no rule of a chain matches.
func (m *Manager) SetFirewallPolicy(ctx context.Context, name, chain, policy string) error {
	return m.changeFirewall(ctx, name, func(f *vps.Firewall) error {
		if policy == vps.PolicyAccept {
			policy = ""
		}
		switch chain {
		case vps.ChainInput:
			f.Input = policy
		case vps.ChainOutput:
			f.Output = policy
		case vps.ChainForward:
			f.Forward = policy
		default:
			return fail.New(fail.Usage, "unknown chain %q: use input, output or forward", chain)
		}
		return nil
	})
}

// FlushFirewall takes every rule and policy away.
func (m *Manager) FlushFirewall(ctx context.Context, name string) error {
	return m.changeFirewall(ctx, name, func(f *vps.Firewall) error { *f = vps.Firewall{}; return nil })
}

// ApplyFirewall puts back what somebody inside a running VPS took away.
func (m *Manager) ApplyFirewall(ctx context.Context, name string) error {
	return m.changeFirewall(ctx, name, func(*vps.Firewall) error { return nil })
}

func (m *Manager) changeFirewall(ctx context.Context, name string, change func(*vps.Firewall) error) error {
	return m.changeLive(ctx, name, func(v *vps.VPS) error {
		if err := change(&v.Firewall); err != nil {
			return err
		}
		return v.Firewall.Check()
	}, func(ctx context.Context, v vps.VPS, init inside.Identity) error {
		return m.networks.SetFirewall(ctx, v.Firewall, init)
	})
}

// applyFirewall gives a VPS that starts its firewall.
func (m *Manager) applyFirewall(ctx context.Context, v vps.VPS, init inside.Identity) error {
	if f := v.Firewall; f.Any() {
		return m.networks.SetFirewall(ctx, f, init)
	}
	return nil
}
