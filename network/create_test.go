package network

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"croft/internal/fail"
)

func settingsOf(name string) Settings {
	lan4, lan6 := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:9::/64")
	gateways := []netip.Addr{netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("2001:db8:9::fe")}
	return map[string]Settings{
		"segment":  {Name: "seg0", Segment: true, IPv4: netip.MustParsePrefix("10.91.0.0/16"), IPv6: netip.MustParsePrefix("fd00:9::/64")},
		"foreign":  {Name: "lan", Bridge: "br9", IPv4: lan4, IPv6: lan6, Gateways: gateways},
		"routed":   {Name: "public", Mode: ModeRouted, Parent: "eth9", IPv4: lan4, IPv6: lan6, Private: true},
		"macvlan":  {Name: "lan", Mode: ModeMACVLAN, Parent: "eth9", IPv4: lan4, IPv6: lan6, Gateways: gateways},
		"physical": {Name: "card", Mode: ModePhysical, Parent: "eth9", IPv4: lan4, IPv6: lan6, Gateways: gateways[:1], MTU: 9000},
	}[name]
}

// What each mode makes of a network and of an interface in it.
func TestModesGolden(t *testing.T) {
	for _, name := range []string{"segment", "foreign", "routed", "macvlan", "physical"} {
		table, err := New(settingsOf(name), Seed{MTU: 1500})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		table.MAC = "c2:00:00:00:00:01" // it is random
		plan, err := NewPlan(table, mustClaim(t, &table, "web"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := NewHostPlan(table).String()
		if i := strings.Index(text, "nft add element"); i > 0 { // the policy is in host-bridge.golden
			text = text[i:]
		}
		golden(t, "mode-"+name+".golden", text+"\n"+plan.String()+fmt.Sprintln("\n# beside another interface its routes are", plan.AsSecondary(table).DefaultRoutes()))
	}
}

func TestNewRefuses(t *testing.T) {
	four := netip.MustParsePrefix("10.5.0.0/16")
	other, err := New(Settings{Name: "other", IPv4: four}, Seed{})
	if err != nil {
		t.Fatal(err)
	}
	for words, test := range map[string]struct {
		kind fail.Kind
		s    Settings
	}{
		`mode "vlan"`:             {fail.Usage, Settings{Name: "n", Mode: "vlan"}},
		"mode \"none\"":           {fail.Usage, Settings{Name: "n", Mode: ModeNone}},
		"--bridge":                {fail.Usage, Settings{Name: "n", Mode: ModeRouted, Bridge: "br0", IPv4: four}},
		"--parent: mode bridge":   {fail.Usage, Settings{Name: "n", Parent: "eth9"}},
		"--parent: mode macvlan":  {fail.Usage, Settings{Name: "n", Mode: ModeMACVLAN}},
		"--gateway":               {fail.Usage, Settings{Name: "n", Gateways: []netip.Addr{netip.MustParseAddr("10.5.0.1")}}},
		"--no-nat":                {fail.Usage, Settings{Name: "n", Mode: ModeRouted, IPv4: four, NoNAT: true}},
		"--segment: only":         {fail.Usage, Settings{Name: "n", Mode: ModeRouted, IPv4: four, Segment: true}},
		"--segment and --private": {fail.Usage, Settings{Name: "n", Segment: true, Private: true}},
		"--private: one":          {fail.Usage, Settings{Name: "n", Mode: ModePhysical, Parent: "eth9", Private: true}},
		"at most 15":              {fail.Usage, Settings{Name: "a-very-long-name"}},
		"needs --ipv4 or --ipv6":  {fail.Usage, Settings{Name: "n", Mode: ModeRouted, Parent: "eth9"}},
		"is an address":           {fail.Usage, Settings{Name: "n", IPv4: netip.MustParsePrefix("10.5.0.1/16")}},
		"too small":               {fail.Usage, Settings{Name: "n", IPv4: netip.MustParsePrefix("10.5.0.0/31")}},
		"gateway 10.6.0.1":        {fail.Usage, Settings{Name: "n", Bridge: "br9", IPv4: four, Gateways: []netip.Addr{netip.MustParseAddr("10.6.0.1")}}},
		"contradict each other":   {fail.Usage, Settings{Name: "n", IPv4: four, NoIPv4: true}},
		"of network other":        {fail.Taken, Settings{Name: "n", IPv4: netip.MustParsePrefix("10.5.7.0/24"), Others: []Table{other}}},
		"contains 10.77.0.1/32":   {fail.Taken, Settings{Name: "n", IPv4: netip.MustParsePrefix("10.77.0.0/16")}},
	} {
		_, err := New(test.s, Seed{Avoid: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}})
		if !fail.Is(err, test.kind) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

// A new network finds prefixes that are free: neither the host nor another network has them.
func TestNewFindsPrefixes(t *testing.T) {
	seed := Seed{Avoid: []netip.Prefix{netip.MustParsePrefix("10.90.0.0/24")}}
	var all []Table
	for _, name := range []string{"a", "b", "c"} {
		table, err := New(Settings{Name: name, Others: all}, seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range append(seed.Avoid, prefixes(all)...) {
			if p.Overlaps(table.IPv4) || p.Overlaps(table.IPv6) {
				t.Errorf("%s has %s and %s, and %s is taken", name, table.IPv4, table.IPv6, p)
			}
		}
		all = append(all, table)
	}
	none, err := New(Settings{Name: "six", NoIPv4: true}, seed)
	if err != nil || none.IPv4.IsValid() || !none.IPv6.IsValid() {
		t.Errorf("without IPv4: %v, %v", none, err)
	}
}

func prefixes(all []Table) (out []netip.Prefix) {
	for _, t := range all {
		out = append(out, t.IPv4, t.IPv6)
	}
	return out
}

// Prefixes that are reserved, and a bridge whose name the host has already,
// are refused before anything is made.
func TestNewRefusesWhatTheHostNeeds(t *testing.T) {
	for _, p := range []string{"169.254.0.0/16", "127.8.0.0/16", "224.0.0.0/8", "240.0.0.0/8", "0.0.0.0/0", "fe80::/64", "ff02::/64", "::/64", "::ffff:0:0/96"} {
		prefix := netip.MustParsePrefix(p)
		s := Settings{Name: "n", IPv4: prefix, NoIPv6: true}
		if prefix.Addr().Is6() {
			s = Settings{Name: "n", IPv6: prefix, NoIPv4: true}
		}
		if _, err := New(s, Seed{}); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", p, err)
		}
	}
	s := Settings{Name: "eth0", IPv4: netip.MustParsePrefix("10.5.0.0/16")}
	if _, err := New(s, Seed{Link: "veth"}); !fail.Is(err, fail.Taken) {
		t.Errorf("the host's link: %v", err)
	}
	s.Mode = ModeRouted // it makes no link of that name
	if _, err := New(s, Seed{Link: "veth"}); err != nil {
		t.Errorf("a routed network called like a link: %v", err)
	}
}
