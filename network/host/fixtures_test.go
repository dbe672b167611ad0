package host

import (
	"net/netip"
	"testing"

	"croft/internal/vps"
	"croft/network"
)

func mustClaim(t *testing.T, table *network.Table, owner string, want ...string) network.Claim {
	t.Helper()
	var addrs []netip.Addr
	for _, s := range want {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	c, err := table.Claim(vps.Name(owner), "eth0", addrs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func someFirewall() vps.Firewall {
	return vps.Firewall{Input: vps.PolicyDrop, Rules: []vps.FirewallRule{
		{Chain: vps.ChainInput, Action: vps.ActionDeny, From: "10.90.0.3", Protocol: "tcp", Ports: []string{"22"}},
		{Chain: vps.ChainInput, Action: vps.ActionAllow, Protocol: "tcp", Ports: []string{"22", "80", "8000-8100"}},
		{Chain: vps.ChainInput, Action: vps.ActionAllow, Ports: []string{"53"}},
		{Chain: vps.ChainInput, Action: vps.ActionAllow, Protocol: "icmp"},
		{Chain: vps.ChainInput, Action: vps.ActionAllow, From: "fd00:1:2::/64", States: []string{"established", "new"}},
		{Chain: vps.ChainOutput, Action: vps.ActionReject, To: "192.0.2.1/24", Protocol: "udp", Ports: []string{"1000-2000"}},
	}}
}
