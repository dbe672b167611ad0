//go:build integration

package integration

import (
	"encoding/json"
	"os/exec"
	"testing"
)

// settingsOf is what inspect shows of a VPS, without counters, and what the host
// has for its interface.
func settingsOf(t *testing.T, vps string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(must(t, "inspect", vps)), &v); err != nil {
		t.Fatal(err)
	}
	for _, i := range v["interfaces"].([]any) {
		delete(i.(map[string]any), "dropped")
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	link := inspect(t, vps).Interfaces[0].HostLink
	host := ""
	for _, args := range [][]string{
		{"tc", "qdisc", "show", "dev", link},
		{"nft", "--stateless", "list", "chain", "inet", "croft", "connections-" + link},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		host += string(out)
	}
	return string(text) + "\n" + host
}

// A set with many options, of which the last one fails, changes nothing: no
// setting that is saved, nothing inside the VPS and nothing on the host.
func TestSetIsAllOrNothing(t *testing.T) {
	hostAsBefore(t)
	vps, peer := create(t, "busybox", "--rate", "16M", "--connections", "900"), create(t, "busybox")
	must(t, "start", "--wait=network", vps)
	four, taken := on(t, true, 241), plainAddresses(t, peer)[0]
	first := plainAddresses(t, vps)[0]
	must(t, "route", vps, "add", "192.0.2.0/24", "--src", first)
	before, inside := settingsOf(t, vps), sh(t, vps, "ip address show dev eth0; ip route")
	options := []string{"set", vps, "--onboot", "no", "--boot-order", "9", "--stop-timeout", "7", "--rate", "24M", "--connections", "400", "--ip-add", four}
	for _, last := range []struct {
		status int
		words  string
		option []string
	}{
		{3, "eth7", []string{"--rate", "eth7:1M"}},
		{3, "192.0.2.77", []string{"--ip-del", "192.0.2.77"}},
		{4, taken + " " + peer, []string{"--ip-add", taken}},
		{5, "192.0.2.0/24", []string{"--ip-del", first}}, // a route needs it
	} {
		refused(t, last.status, last.words, append(options, last.option...)...)
		if after := settingsOf(t, vps); after != before {
			t.Errorf("%v has failed, and the settings were\n%s\nand are\n%s", last.option, before, after)
		}
		if after := sh(t, vps, "ip address show dev eth0; ip route"); after != inside {
			t.Errorf("%v has failed, and inside there was\n%s\nand is\n%s", last.option, inside, after)
		}
	}
	if !hostPings(first) || hostPings(four) {
		t.Error("its addresses do not answer as before")
	}

	// Everything is saved and claimed when it turns out that the interface is
	// missing inside.
	sh(t, vps, "ip link set eth0 down && ip link set eth0 name away")
	refused(t, 5, "eth0", options...)
	sh(t, vps, "ip link set away name eth0 && ip link set eth0 up")
	if after := settingsOf(t, vps); after != before {
		t.Errorf("the interface was missing, and the settings were\n%s\nand are\n%s", before, after)
	}

	must(t, options...)
	if after := settingsOf(t, vps); after == before || !hostPings(four) {
		t.Errorf("all options are valid, and nothing has changed:\n%s", after)
	}
}
