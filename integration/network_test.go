//go:build integration

package integration

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

func pings(from, to string) bool {
	return try("exec", from, "--", "ping", "-c", "1", "-W", "2", to).status == 0
}

func hostPings(to string) bool {
	return exec.Command("ping", "-n", "-c", "1", "-W", "2", to).Run() == nil
}

func TestNetwork(t *testing.T) {
	hostAsBefore(t)
	one, two := create(t, "busybox", "--publish", "1:1"), create(t, "busybox") // published, so that a repair has to do with every hook
	must(t, "start", "--wait=network", one, two)
	addresses := map[string][]string{}
	for _, vps := range []string{one, two} {
		for _, a := range inspect(t, vps).Interfaces[0].Addresses {
			plain, _, _ := strings.Cut(a, "/")
			addresses[vps] = append(addresses[vps], plain)
		}
		if len(addresses[vps]) != 2 || !strings.Contains(addresses[vps][1], ":") {
			t.Fatalf("%s has %v, not an IPv4 and an IPv6 address", vps, addresses[vps])
		}
	}

	t.Run("reach", func(t *testing.T) {
		for _, a := range addresses[two] {
			if !pings(one, a) {
				t.Errorf("VPS to VPS: %s", a)
			}
			if !hostPings(a) {
				t.Errorf("host to VPS: %s", a)
			}
		}
		if !pings(one, hostUp) || !pings(one, outsideUp) || !pings(one, outsideUp6) {
			t.Error("a VPS does not reach its host, or what is behind it")
		}
	})

	t.Run("NAT", func(t *testing.T) {
		if got := in(t, one, "nc", outsideUp, echoPort); got != hostUp {
			t.Errorf("outside, it comes from %q, not from %s", got, hostUp)
		}
		if got := in(t, one, "nc", outsideUp6, echoPort); got != hostUp6 {
			t.Errorf("outside, it comes from %q, not from %s", got, hostUp6)
		}
	})

	t.Run("resolvers", func(t *testing.T) {
		got := in(t, one, "cat", "/etc/resolv.conf")
		if strings.Contains(got, "127.0.0.") || strings.Contains(got, "::1") {
			t.Errorf("a resolver that is the VPS itself:\n%s", got)
		}
	})

	t.Run("no other's address", func(t *testing.T) {
		// Taken, it would have to answer for the one it belongs to.
		foreign := addresses[two][0]
		must(t, "stop", two)
		sh(t, one, "ip addr add "+foreign+"/32 dev eth0")
		if hostPings(foreign) {
			t.Error("a VPS answers for an address of another one")
		}
		if r := try("exec", one, "--", "ping", "-I", foreign, "-c", "1", "-W", "2", hostUp); r.status == 0 {
			t.Error("a VPS sends from an address of another one")
		}
		sh(t, one, "ip addr del "+foreign+"/32 dev eth0")
		must(t, "start", "--wait=network", two)
		if !pings(one, foreign) {
			t.Errorf("%s is not reached again", foreign)
		}
		dropped := must(t, "inspect", "--json", one)
		if !strings.Contains(dropped, `"dropped"`) {
			t.Errorf("what was dropped is not shown:\n%s", dropped)
		}
	})

	t.Run("no other's frames", func(t *testing.T) {
		neighbours := in(t, one, "ip", "neigh")
		hostMAC, err := os.ReadFile("/proc/self/net/arp")
		if err != nil {
			t.Fatal(err)
		}
		mac := inspect(t, two).Interfaces[0].MAC
		if strings.Contains(neighbours, strings.ToLower(mac)) {
			t.Errorf("it knows the other's MAC %s:\n%s\n%s", mac, neighbours, hostMAC)
		}
	})

	t.Run("stable", func(t *testing.T) {
		before := inspect(t, one).Interfaces
		must(t, "restart", one)
		after := inspect(t, one).Interfaces
		if len(after) != 1 || after[0].MAC != before[0].MAC || strings.Join(after[0].Addresses, " ") != strings.Join(before[0].Addresses, " ") {
			t.Errorf("%+v became %+v", before, after)
		}
	})

	t.Run("flushed rules come back", func(t *testing.T) {
		must(t, "stop", "--fast", two)
		for _, flush := range []string{"nft flush ruleset", "iptables -F; iptables -t nat -F; ip6tables -F; ip6tables -t nat -F"} {
			for _, repair := range [][]string{{"network", "repair"}, {"start", two}} {
				if out, err := exec.Command("sh", "-ec", flush).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", flush, err, out)
				}
				if try("exec", one, "--", "nc", "-w", "1", outsideUp, echoPort).out == hostUp+"\n" {
					t.Errorf("%s has flushed nothing", flush)
				}
				must(t, repair...)
				for _, c := range [][2]string{{outsideUp, hostUp}, {outsideUp6, hostUp6}} {
					eventually(t, "it reaches outside again: "+flush+": croft "+repair[0], func() bool {
						return try("exec", one, "--", "nc", "-w", "2", c[0], echoPort).out == c[1]+"\n"
					})
				}
			}
			must(t, "stop", "--fast", two)
		}
	})
}

// on returns the address of the default network that ends in n.
func on(t *testing.T, four bool, n byte) string {
	t.Helper()
	var net struct{ IPv4, IPv6 netip.Prefix }
	text := must(t, "network", "inspect", "--json", "croft0")
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "["), "]")
	if err := json.Unmarshal([]byte(text), &net); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if four {
		a := net.IPv4.Addr().As4()
		a[3] = n
		return netip.AddrFrom4(a).String()
	}
	a := net.IPv6.Addr().As16()
	a[15] = n
	return netip.AddrFrom16(a).String()
}

func TestGivenAddresses(t *testing.T) {
	hostAsBefore(t)
	want := []string{on(t, true, 201), on(t, true, 202), on(t, false, 201), on(t, false, 202)}
	vps := create(t, "busybox", "--ip", want[0], "--ip", want[1], "--ip", want[2], "--ip", want[3])
	peer := boot(t, "busybox")
	must(t, "start", "--wait=network", vps)
	for _, a := range want {
		if !pings(peer, a) {
			t.Errorf("%s is not reached", a)
		}
	}
	if got := must(t, "list"); !strings.Contains(got, want[0]) || !strings.Contains(got, want[3]) {
		t.Errorf("not all addresses are listed:\n%s", got)
	}
	refused(t, 4, want[1]+" "+vps, "create", "--template", "busybox", "--ip", want[1], name(t, "second"))
	refused(t, 2, "--ip", "create", "--template", "busybox", "--ip", "300.1.1.1", name(t, "bad"))

	// Parallel claims have one winner.
	var all sync.WaitGroup
	claimed := on(t, true, 203)
	results := make([]result, 8)
	names := make([]string, len(results))
	for i := range results {
		names[i] = name(t, "claim")
		all.Go(func() {
			results[i] = try("create", "--template", "busybox", "--ip", claimed, names[i])
		})
	}
	all.Wait()
	winners := 0
	for i, r := range results {
		switch r.status {
		case 0:
			winners++
			must(t, "destroy", names[i])
		case 4, 6:
		default:
			t.Error(r)
		}
	}
	if winners != 1 {
		t.Errorf("%d of them have %s", winners, claimed)
	}
}

func TestNoNetwork(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none")
	if got := in(t, vps, "ls", "/sys/class/net"); got != "lo" {
		t.Errorf("it has %s", got)
	}
}
