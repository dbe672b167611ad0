package runtime

import (
	"context"

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

// Firewall describes the firewall of the VPS name, and which rules really exist.
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

func (c *change) applyFirewall(ctx context.Context, _, to side) error {
	return c.networks.SetFirewall(ctx, to.Firewall, c.init)
}

// startFirewall gives a VPS that starts its firewall.
func (m *Manager) startFirewall(ctx context.Context, v vps.VPS, init inside.Identity) error {
	if f := v.Firewall; f.Any() {
		return m.networks.SetFirewall(ctx, f, init)
	}
	return nil
}
