package network

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/internal/fail"
	"croft/internal/vps"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// fixed is a network without anything random in it.
func fixed() Table {
	return Table{Schema: 1, Name: "croft0", Mode: ModeBridge, Bridge: "croft0", MAC: "c2:00:00:00:00:01", MTU: 1400, NAT: true,
		IPv4: netip.MustParsePrefix("10.90.0.0/16"), IPv6: netip.MustParsePrefix("fd00:1:2::/64")}
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func mustClaim(t *testing.T, table *Table, owner string, want ...string) Claim {
	t.Helper()
	c, err := table.Claim(vps.Name(owner), "eth0", addrs(want...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClaimGivesTheLowestFree(t *testing.T) {
	table := fixed()
	a, b := mustClaim(t, &table, "a"), mustClaim(t, &table, "b")
	if got := fmt.Sprint(a.Addresses, b.Addresses); got != "[10.90.0.2 fd00:1:2::2] [10.90.0.3 fd00:1:2::3]" {
		t.Fatal(got)
	}
	if again := mustClaim(t, &table, "a", "10.90.0.2"); !slices.Equal(again.Addresses, a.Addresses) || again.MAC != a.MAC || len(table.Claims) != 2 {
		t.Fatalf("claimed again: %+v", again)
	}
	if _, err := table.Claim("a", "eth0", addrs("10.90.0.77"), nil); !fail.Is(err, fail.State) {
		t.Fatalf("claimed again, with another address: %v", err)
	}
	table.Release("a")
	table.Release("a")
	if c := mustClaim(t, &table, "c"); fmt.Sprint(c.Addresses) != "[10.90.0.2 fd00:1:2::2]" {
		t.Fatalf("what was released is not given again: %v", c.Addresses)
	}
	if _, owned := table.Owner(netip.MustParseAddr("10.90.0.9")); owned {
		t.Fatal("a free address has an owner")
	}
	if who, _ := table.Owner(netip.MustParseAddr("::ffff:10.90.0.3")); who != "b" {
		t.Fatalf("10.90.0.3 belongs to %q", who)
	}
}

func TestClaimWanted(t *testing.T) {
	host := addrs("10.90.4.4", "fd00:1:2::44")
	for _, c := range []struct {
		want string // of addresses, comma separated
		kind fail.Kind
		says string // the addresses given, or words of the error
	}{
		{"10.90.7.7", 0, "[10.90.7.7 fd00:1:2::3]"},
		{"fd00:1:2::7,10.90.7.7,10.90.7.8", 0, "[10.90.7.7 10.90.7.8 fd00:1:2::7]"},
		{"::ffff:10.90.7.7", 0, "[10.90.7.7 fd00:1:2::3]"},
		{"10.90.0.2", fail.Taken, "belongs to web"},
		{"10.90.4.4", fail.Taken, "the host's own"},
		{"10.90.0.1", fail.Usage, "the gateway's"},
		{"fd00:1:2::1", fail.Usage, "the gateway's"},
		{"10.90.0.0", fail.Usage, "the network's own"},
		{"fd00:1:2::", fail.Usage, "the network's own"},
		{"10.90.255.255", fail.Usage, "broadcast"},
		{"10.91.0.2", fail.Usage, "not in 10.90.0.0/16"},
		{"fd00:1:3::2", fail.Usage, "not in fd00:1:2::/64"},
		{"fe80::1", fail.Usage, "not in"},
		{"fd00:1:2::7%eth0", fail.Usage, "not an address"},
		{"10.90.7.7,10.90.7.7", fail.Usage, "twice"},
	} {
		table := fixed()
		mustClaim(t, &table, "web")
		got, err := table.Claim("db", "eth0", addrs(strings.Split(c.want, ",")...), host)
		if c.kind == 0 {
			if err != nil || fmt.Sprint(got.Addresses) != c.says {
				t.Errorf("%s: %v, %v", c.want, got.Addresses, err)
			}
			continue
		}
		if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || len(table.Claims) != 1 {
			t.Errorf("%s: %v, %d claims", c.want, err, len(table.Claims))
		}
	}
}

func TestClaimUntilFull(t *testing.T) {
	table := fixed()
	table.IPv4 = netip.MustParsePrefix("10.90.0.0/29") // .2 to .6
	for i := range 5 {
		mustClaim(t, &table, fmt.Sprint("v", i))
	}
	before := len(table.Claims)
	if _, err := table.Claim("late", "eth0", nil, nil); !fail.Is(err, fail.Taken) || len(table.Claims) != before {
		t.Fatalf("a full network gave something: %v", err)
	}
}

// TestNamesAreUnique claims for many owners with the same beginning.
func TestNamesAreUnique(t *testing.T) {
	table := fixed()
	links, macs := map[string]bool{}, map[string]bool{}
	for i := range 1500 {
		c := mustClaim(t, &table, fmt.Sprintf("webserver-%d", i))
		if links[c.HostLink] || macs[c.MAC] {
			t.Fatalf("%+v is there already", c)
		}
		links[c.HostLink], macs[c.MAC] = true, true
		last := c.Addresses[0].As4()[3]
		if err := checkHostLink(c.HostLink); err != nil || last == 0 || last == 255 {
			t.Fatalf("%+v: %v", c, err)
		}
	}
	if _, err := Decode(written(t, table, Files{})); err != nil {
		t.Fatal(err)
	}
}

func TestHostLinksAreReadable(t *testing.T) {
	for owner, want := range map[string]string{
		"web": "cr-web-", "a-very-long-name": "cr-a-very-", "Ünïcode.Name": "cr-ncodena-", "...": "cr-", "-x-": "cr-x-",
	} {
		got := hostLink(fixed(), vps.Name(owner), "eth0", 0)
		if !strings.HasPrefix(got, want) || checkHostLink(got) != nil {
			t.Errorf("%q: %q", owner, got)
		}
	}
}

func TestRename(t *testing.T) {
	table := fixed()
	was := mustClaim(t, &table, "old")
	mustClaim(t, &table, "other")
	table.Rename("old", "new")
	table.Rename("absent", "whatever")
	now := table.Of("new")[0]
	if now.MAC != was.MAC || !slices.Equal(now.Addresses, was.Addresses) || !strings.HasPrefix(now.HostLink, "cr-new-") || len(table.Of("old")) != 0 {
		t.Fatalf("%+v became %+v", was, now)
	}
}

func TestModeNone(t *testing.T) {
	table := Table{Schema: 1, Name: "none", Mode: ModeNone}
	c := mustClaim(t, &table, "web")
	if len(c.Addresses) != 0 || c.HostLink != "" {
		t.Fatalf("%+v", c)
	}
	if _, err := table.Claim("db", "eth0", addrs("10.0.0.1"), nil); !fail.Is(err, fail.Usage) {
		t.Fatalf("an address of no network: %v", err)
	}
	plan, err := NewPlan(table, c)
	if err != nil || plan.String() != "# in the VPS\nip link set lo up\n" {
		t.Fatalf("%q, %v", plan, err)
	}
	if _, err := Decode(written(t, table, Files{})); err != nil {
		t.Fatal(err)
	}
}

func TestDefault(t *testing.T) {
	p := netip.MustParsePrefix
	for _, c := range []struct {
		avoid []netip.Prefix
		want  string
	}{
		{nil, "10.90.0.0/16"},
		{[]netip.Prefix{p("0.0.0.0/0")}, "10.90.0.0/16"},
		{[]netip.Prefix{p("10.90.3.0/24"), p("10.91.0.1/32")}, "10.92.0.0/16"},
		{[]netip.Prefix{p("10.0.0.0/8")}, "172.31.0.0/16"},
		{[]netip.Prefix{p("10.0.0.0/8"), p("172.16.0.0/12")}, "10.90.0.0/16"},
		{[]netip.Prefix{p("10.0.0.0/8"), p("172.16.0.0/12"), p("10.90.0.0/20")}, "10.91.0.0/16"},
	} {
		table := Default(Seed{Avoid: c.avoid})
		if table.IPv4.String() != c.want {
			t.Errorf("%v: %s, want %s", c.avoid, table.IPv4, c.want)
		}
		if err := table.check(); err != nil {
			t.Error(err)
		}
	}
	a, b := Default(Seed{Name: "lan"}), Default(Seed{NoIPv6: true})
	if a.Bridge != "lan" || a.IPv6.Addr().As16()[0] != 0xfd || b.IPv6.IsValid() || b.Name != "croft0" {
		t.Errorf("%+v, %+v", a, b)
	}
	if other := Default(Seed{}); other.IPv6 == a.IPv6 || other.MAC == a.MAC {
		t.Error("two networks have the same prefix or MAC")
	}
}

// written is what the files say once table is written, which was read from f.
func written(t testing.TB, table Table, f Files) Files {
	t.Helper()
	c, err := table.Changes()
	if err != nil {
		t.Fatal(err)
	}
	if c.Settings != nil {
		f.Settings = c.Settings
	}
	if c.Claims != nil {
		f.Claims = c.Claims
	}
	f.Claims = slices.Concat(f.Claims, c.Append)
	return f
}

func decoded(t testing.TB, f Files) Table {
	t.Helper()
	table, err := Decode(f)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, f.Settings, f.Claims)
	}
	return table
}

func TestUnknownFieldsSurvive(t *testing.T) {
	text := `{"schema":1,"name":"n","mode":"bridge","bridge":"br","mac":"c2:00:00:00:00:01","ipv4":"10.1.0.0/24","colour":{"a":[1]},
		"claims":[{"owner":"w","interface":"eth0","mac":"c2:00:00:00:00:02","addresses":["10.1.0.2"],"hostLink":"cr-w","rate":7}]}`
	table := decoded(t, Files{Settings: []byte(text)})
	mustClaim(t, &table, "x")
	f := written(t, table, Files{})
	flat := strings.Join(strings.Fields(string(f.Settings)+string(f.Claims)), "")
	for _, want := range []string{`"colour":{"a":[1]}`, `{"rate":7}`, `claimxeth0`} {
		if strings.Count(flat, want) != 1 {
			t.Errorf("%s is not there once:\n%s%s", want, f.Settings, f.Claims)
		}
	}
	again := decoded(t, f)
	if info := again.Info(); len(info.Claims) != 2 || string(info.Claims[0].extra["rate"]) != "7" {
		t.Errorf("%+v", info)
	}
	if second := written(t, again, f); !bytes.Equal(second.Settings, f.Settings) || !bytes.Equal(second.Claims, f.Claims) {
		t.Errorf("rewritten:\n%s%s\n%s%s", f.Settings, f.Claims, second.Settings, second.Claims)
	}
}

func TestDecodeRefuses(t *testing.T) {
	table := fixed()
	mustClaim(t, &table, "a")
	mustClaim(t, &table, "b")
	good := written(t, table, Files{})
	for _, c := range []struct{ old, new string }{
		{`"schema": 3`, `"schema": 4`},
		{`"schema": 3`, `"schema": 0`},
		{`"mode": "bridge"`, `"mode": "tunnel"`},
		{`"bridge": "croft0"`, `"bridge": "../../x"`},
		{`"bridge": "croft0"`, `"bridge": "a-name-too-long-for-it"`},
		{`"10.90.0.0/16"`, `"10.90.0.1/16"`},
		{`"10.90.0.0/16"`, `"10.90.0.0/31"`},
		{`"10.90.0.0/16"`, `"fd00::/64"`},
		{`"10.90.0.0/16"`, `"10.91.0.0/16"`},
		{`"mac": "c2:00:00:00:00:01"`, `"mac": "c3:00:00:00:00:01"`},
		{`{`, ``},
		{"10.90.0.3", "10.90.0.2"},
		{"10.90.0.3", "10.90.0.1"},
		{"10.90.0.3", "x"},
		{"10.90.0.3,", ","},
		{" link=cr-", " link=ve-"},
		{" link=", " chain="},
		{" mac=c2", " mac=c3"},
		{" mac=c2", " mac=C2"},
		{"claim b", "claim  b"},
		{"claim b", "claims b"},
		{"claim b eth0", "claim b eth0/.."},
		{"claim b eth0", "claim b"},
	} {
		bad := Files{
			Settings: []byte(strings.Replace(string(good.Settings), c.old, c.new, 1)),
			Claims:   []byte(strings.Replace(string(good.Claims), c.old, c.new, 1)),
		}
		if bytes.Equal(bad.Settings, good.Settings) && bytes.Equal(bad.Claims, good.Claims) {
			t.Fatalf("%s is not in\n%s%s", c.old, good.Settings, good.Claims)
		}
		// The sum is right: it is the content that is refused.
		bad.Claims = group(bad.Claims[:bytes.LastIndex(bad.Claims, []byte(lineEnd))])
		if _, err := Decode(bad); !fail.Is(err, fail.State) {
			t.Errorf("%s instead of %s: %v", c.new, c.old, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	table := fixed()
	if _, err := table.Claim("a", "eth0", nil, nil); err != nil {
		f.Fatal(err)
	}
	good := written(f, table, Files{})
	f.Add(good.Settings, good.Claims)
	f.Add([]byte(`{"schema":1,"name":"n","mode":"none","x":1}`), []byte(nil))
	f.Add([]byte(`{"schema":1,"name":"n","mode":"none","claims":[{"owner":"a","interface":"b","addresses":null,"x":" \n"}]}`), []byte(nil))
	f.Add([]byte(`{"schema":3,"name":"n","mode":"none"}`), group([]byte("claim a b\nrelease a b\nclaim a b {\"x\":1}\n")))
	f.Fuzz(func(t *testing.T, settings, claims []byte) {
		table, err := Decode(Files{settings, claims})
		if err != nil {
			return
		}
		for _, c := range table.Claims {
			if _, err := NewPlan(table, c); err != nil {
				t.Errorf("decoded, and not to be planned: %v", err)
			}
		}
		_ = NewHostPlan(table).String()
		table.kept = nil // all of it is written
		once := written(t, table, Files{})
		again := decoded(t, once)
		again.kept = nil
		if twice := written(t, again, Files{}); !bytes.Equal(once.Settings, twice.Settings) || !bytes.Equal(once.Claims, twice.Claims) {
			t.Errorf("%s%s\n%s%s", once.Settings, once.Claims, twice.Settings, twice.Claims)
		}
	})
}

// FuzzClaim: whatever is asked for, a table stays one that Decode takes.
func FuzzClaim(f *testing.F) {
	f.Add("web", "eth0", "10.90.0.9", "fd00:1:2::9")
	f.Add("db", "eth1", "10.90.0.2", "")
	f.Fuzz(func(t *testing.T, owner, iface, one, two string) {
		table := fixed()
		table.Claims = nil
		if _, err := table.Claim("first", "eth0", nil, nil); err != nil {
			t.Fatal(err)
		}
		var want []netip.Addr
		for _, s := range []string{one, two} {
			if a, err := netip.ParseAddr(s); err == nil {
				want = append(want, a)
			}
		}
		c, err := table.Claim(vps.Name(owner), iface, want, nil)
		if err == nil && len(want) == 0 && len(c.Addresses) != 2 {
			t.Errorf("%+v", c)
		}
		if err := table.check(); err != nil {
			t.Error(err)
		}
	})
}

func TestPlanGolden(t *testing.T) {
	table := fixed()
	c := mustClaim(t, &table, "web", "10.90.0.2", "10.90.0.9", "fd00:1:2::2")
	plan, err := NewPlan(table, c)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plan-bridge.golden", plan.String())
	plan.Rate = vps.Rate{In: 100_000_000, Out: 64_000}
	golden(t, "plan-bridge-rate.golden", plan.String())

	four := fixed()
	four.IPv6, four.MTU = netip.Prefix{}, 0
	if plan, err = NewPlan(four, mustClaim(t, &four, "db")); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan-bridge-ipv4.golden", plan.String())
}

func TestHostPlanGolden(t *testing.T) {
	table := fixed()
	empty := NewHostPlan(table).String()
	golden(t, "host-bridge.golden", empty)
	for i := range 20 {
		mustClaim(t, &table, fmt.Sprint("v", i))
	}
	if full := NewHostPlan(table).String(); full != empty {
		t.Error("what the host needs grows with the VPSs")
	}
	routed := fixed()
	routed.NAT, routed.IPv6 = false, netip.Prefix{}
	golden(t, "host-bridge-ipv4-no-nat.golden", NewHostPlan(routed).String())
}

func TestParseSaved(t *testing.T) {
	text := `# Generated by iptables-save v1.8.9 (nf_tables)
*filter
:FORWARD ACCEPT [0:0]
:CROFT-FORWARD - [0:0]
-A FORWARD -j CROFT-FORWARD
-A CROFT-FORWARD -o croft1 -m comment --comment croft1 -j ACCEPT
-A CROFT-FORWARD -o croft0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -m comment --comment "croft0" -j ACCEPT
-A CROFT-FORWARD ! -i croft0 -o croft0 -m comment --comment croft0 -j DROP
-A CROFT-FORWARD -i croft0 -m comment --comment croft0 -j ACCEPT
-A CROFT-FORWARD -i croft1 -m comment --comment croft1 -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:CROFT-POSTROUTING - [0:0]
-A POSTROUTING -j CROFT-POSTROUTING
-A CROFT-POSTROUTING -s 10.90.0.0/16 ! -o croft0 -m comment --comment croft0 -j MASQUERADE
COMMIT
`
	want := NewHostPlan(fixed()).RulesOf(false)
	if !ParseSavedRules(text).Matches("croft0", want) {
		t.Fatal("what is there is not recognised")
	}
	for _, c := range []struct{ old, new string }{
		{"-A FORWARD -j CROFT-FORWARD\n", ""},
		{"-A FORWARD -j CROFT-FORWARD\n", "-A FORWARD -j CROFT-FORWARD\n-A FORWARD -j CROFT-FORWARD\n"},
		{"-A CROFT-FORWARD ! -i croft0 -o croft0 -m comment --comment croft0 -j DROP\n", ""},
		{"-j MASQUERADE", "-j ACCEPT"},
		{"10.90.0.0/16", "10.91.0.0/16"},
		{"-A CROFT-FORWARD -o croft1", "-A CROFT-FORWARD -i croft1 -j ACCEPT\n-A CROFT-FORWARD -o croft1"},
	} {
		changed := strings.Replace(text, c.old, c.new, 1)
		if changed == text || ParseSavedRules(changed).Matches("croft0", want) {
			t.Errorf("%q for %q is not noticed", c.new, c.old)
		}
	}
}

func FuzzParseSaved(f *testing.F) {
	f.Add("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j CROFT-FORWARD\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := ParseSavedRules(text)
		s.Matches("croft0", NewHostPlan(fixed()).RulesOf(false))
	})
}
