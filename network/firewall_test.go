package network

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/internal/vps"
)

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

func TestFirewallRestore(t *testing.T) {
	var b strings.Builder
	for _, six := range []bool{false, true} {
		fmt.Fprintf(&b, "# IPv6: %t\n%s", six, RestoreFirewall(someFirewall(), six, SavedRules{}, nil))
	}
	golden(t, "firewall.golden", b.String())
}

// What is there says what the next restore has to do about it.
func TestFirewallRestoreOverWhatIsThere(t *testing.T) {
	text := `*filter
:INPUT ACCEPT [0:0]
:CROFT-INPUT - [0:0]
[1:2] -A INPUT -j CROFT-INPUT
[3:4] -A INPUT -s 198.51.100.0/24 -j DROP
[1:2] -A INPUT -j CROFT-INPUT
[5:6] -A CROFT-INPUT -i lo -j RETURN
[7:8] -A CROFT-INPUT -j DROP
COMMIT
`
	now, lines := ParseCounted(text)
	want := `*filter
:CROFT-INPUT - [0:0]
-D INPUT -j CROFT-INPUT
[5:6] -A CROFT-INPUT -i lo -j RETURN
-A CROFT-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
[7:8] -A CROFT-INPUT -j DROP
COMMIT
`
	if diff := cmp.Diff(want, RestoreFirewall(vps.Firewall{Input: vps.PolicyDrop}, false, now, lines)); diff != "" {
		t.Error(diff)
	}
	want = "*filter\n:CROFT-INPUT - [0:0]\n-D INPUT -j CROFT-INPUT\n-D INPUT -j CROFT-INPUT\n-X CROFT-INPUT\nCOMMIT\n"
	if diff := cmp.Diff(want, RestoreFirewall(vps.Firewall{}, false, now, lines)); diff != "" {
		t.Error(diff)
	}
	if text := RestoreFirewall(vps.Firewall{}, false, SavedRules{}, nil); text != "" {
		t.Errorf("nothing to do, and it does %s", text)
	}
}
