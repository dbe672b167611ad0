package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"croft/network"
)

// Who is in the way, by what there is in the chains that see forwarded packets.
func TestBlockers(t *testing.T) {
	nft := func(family, table, chain string, drops bool, text string) hook {
		return hook{Family: family, table: table, chain: chain, drops: drops, text: text}
	}
	docker := legacyHook("ip", "iptables-legacy", "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n")
	ufw := legacyHook("ip6", "ip6tables-legacy", "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -j ufw-before-forward\nCOMMIT\n")
	rejects := legacyHook("ip", "iptables-legacy", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j REJECT --reject-with icmp-port-unreachable\nCOMMIT\n")
	open := legacyHook("ip", "iptables-legacy", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -s 192.0.2.0/24 -j DROP\nCOMMIT\n")
	for what, c := range map[string]struct {
		hooks []hook
		ours  Flavour
		want  string // who: remedy, a line each
	}{
		"nobody":                   {nil, FlavourNFT, ""},
		"an open chain":            {[]hook{nft("inet", "mine", "forward", false, ""), open}, FlavourNFT, ""},
		"croft's own iptables":     {[]hook{nft("ip", "filter", "FORWARD", true, "DOCKER-USER"), nft("ip6", "filter", "FORWARD", true, "")}, FlavourNFT, ""},
		"a chain that knows croft": {[]hook{nft("inet", "mine", "forward", true, "eth0\ncroft0\n")}, FlavourNFT, ""},
		"a chain": {[]hook{nft("inet", "mine", "forward", true, "eth0\n")}, FlavourLegacy,
			"nftables chain inet mine forward: nft insert rule inet mine forward iifname croft0 accept && " +
				"nft insert rule inet mine forward oifname croft0 ct state established,related accept && nft insert rule inet mine forward oifname croft0 ct status dnat accept\n"},
		"firewalld": {[]hook{nft("inet", "firewalld", "filter_FORWARD", true, "")}, FlavourNFT,
			"firewalld: firewall-cmd --zone=trusted --add-interface=croft0 && firewall-cmd --permanent --zone=trusted --add-interface=croft0\n"},
		"Docker with the other iptables": {[]hook{docker}, FlavourNFT,
			"Docker (iptables-legacy FORWARD): iptables-legacy -I DOCKER-USER -i croft0 -j ACCEPT && " +
				"iptables-legacy -I DOCKER-USER -o croft0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\n"},
		"Docker with nf_tables, croft without": {[]hook{{Family: "ip", table: "filter", chain: "FORWARD", drops: true, docker: true}}, FlavourLegacy,
			"Docker (iptables-nft FORWARD): iptables-nft -I DOCKER-USER -i croft0 -j ACCEPT && " +
				"iptables-nft -I DOCKER-USER -o croft0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\n"},
		"ufw with the other iptables": {[]hook{ufw}, FlavourNFT,
			"ufw (ip6tables-legacy): ufw route allow in on croft0 && ufw route allow out on croft0\n"},
		"a last rule that rejects": {[]hook{rejects}, FlavourNFT,
			"iptables-legacy FORWARD: iptables-legacy -I FORWARD -i croft0 -j ACCEPT && " +
				"iptables-legacy -I FORWARD -o croft0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\n"},
	} {
		var got strings.Builder
		for _, b := range blockers(c.hooks, c.ours, []string{"croft0"}) {
			fmt.Fprintf(&got, "%s: %s\n", b.Who, b.Remedy)
		}
		if got.String() != c.want {
			t.Errorf("%s:\n%swant:\n%s", what, &got, c.want)
		}
	}
}

// Only what drops everything, and before croft's rules, is in their way there.
func TestDropsEarly(t *testing.T) {
	for text, want := range map[string]bool{
		"-A FORWARD -j DROP\n-A FORWARD -j CROFT-FORWARD\n":                            true,
		"-A FORWARD -j REJECT --reject-with x\n-A FORWARD -j CROFT-FORWARD\n":          true,
		"-A FORWARD -s 192.0.2.0/24 -j DROP\n-A FORWARD -j CROFT-FORWARD\n":            false,
		"-A FORWARD -j DOCKER-USER\n-A FORWARD -j CROFT-FORWARD\n-A FORWARD -j DROP\n": false,
		"-A FORWARD -j DROP\n": false, // the jump will be first
		"":                     false,
	} {
		if got := dropsEarly(network.ParseSavedRules("*filter\n" + text + "COMMIT\n")); got != want {
			t.Errorf("%t for\n%s", got, text)
		}
	}
}

// A chain of the host's own that drops what croft accepts is found by its
// policy and by a last rule, and its remedy is one.
func TestBlockersOfThisHost(t *testing.T) {
	newHost(t)
	_, ours := iptablesVersion(context.Background())
	if ours == "" {
		t.Fatal("iptables says nothing of its version")
	}
	find := func() []Blocker {
		t.Helper()
		hooks, err := nftForwardHooks()
		if err != nil {
			t.Fatal(err)
		}
		return blockers(hooks, ours, []string{"croft0"})
	}
	if b := find(); len(b) != 0 {
		t.Fatalf("an empty host has %+v", b)
	}
	for what, script := range map[string]string{
		"a policy": `table inet mine {
chain forward { type filter hook forward priority 0; policy drop; ip saddr 192.0.2.1 accept; }
}`,
		"a rule": `table inet mine {
chain forward { type filter hook forward priority 0; iifname "eth0" accept; counter reject with icmpx admin-prohibited; }
}`,
	} {
		run(t, "nft", script)
		b := find()
		if len(b) != 1 || b[0].Who != "nftables chain inet mine forward" {
			t.Fatalf("%s: %+v", what, b)
		}
		if out, err := exec.Command("sh", "-ec", b[0].Remedy).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", b[0].Remedy, err, out)
		}
		if left := find(); len(left) != 0 {
			t.Errorf("%s: after its remedy there is %+v", what, left)
		}
		run(t, "nft", "flush", "ruleset")
	}
	run(t, "nft", `table inet mine {
chain in { type filter hook input priority 0; policy drop; }
chain forward { type filter hook forward priority 0; ip saddr 192.0.2.1 drop; }
}`)
	if b := find(); len(b) != 0 {
		t.Errorf("an input chain and a rule that matches something: %+v", b)
	}
}

// What this host can do for networks is found out without leaving anything.
func TestLookAround(t *testing.T) {
	newHost(t) // whatever is left is in this namespace
	before := state(t)
	s := LookAround(context.Background(), []string{"croft0"})
	if s.Filter != nil || s.Links != nil || s.Rules != nil || s.Guard != nil {
		t.Errorf("other tests here need filters, links, rules, guards: %v, %v, %v, %v", s.Filter, s.Links, s.Rules, s.Guard)
	}
	if s.IPTables == "" || s.Flavour == "" || len(s.Blockers) != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat("/proc/modules"); err != nil && (s.Modules || s.Unavailable != nil) {
		t.Errorf("a kernel without modules lacks some: %+v", s)
	}
	if after := state(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// state is what there is in this network namespace.
func state(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, cmd := range [][]string{
		{"ip", "-o", "link"}, {"nft", "list", "ruleset"}, {"iptables-save"}, {"sysctl", "net.ipv4.ip_forward"},
	} {
		out, err := exec.Command(cmd[0], cmd[1:]...).Output()
		if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		all.Write(out)
	}
	return all.String()
}
