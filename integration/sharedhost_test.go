//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostNetwork is all that networks have on the host, as text.
func hostNetwork(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "ip addr; ip route; ip neigh show nud permanent | sort; iptables-save | grep CROFT; nft list tables").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// A second root on the host takes nothing from the first: no ids, no names and
// no network.
func TestTwoRootsShareNothing(t *testing.T) {
	vps := boot(t, "busybox")
	s := newSite(t)
	alone := s.vps("alone")
	s.must("start", alone)
	mine, theirs := inspect(t, vps).IDs, s.inspect(alone).IDs
	if mine.First < theirs.First+theirs.Size && theirs.First < mine.First+mine.Size {
		t.Errorf("both have ids: %+v, %+v", mine, theirs)
	}
	checkRefusal(t, s.try("create", "--template", "busybox", "--network", "none", vps), 4, world.root)
	checkRefusal(t, s.try("rename", alone, vps), 4, world.root)

	guest := name(t, "guest")
	s.must("create", "--template", "busybox", guest)
	before := hostNetwork(t)
	checkRefusal(t, s.try("start", guest), 4, world.root)
	checkRefusal(t, s.try("network", "create", "other", "--ipv4", "10.77.0.0/24", "--ipv6", "none"), 4, world.root)
	s.must("destroy", guest)
	s.must("network", "remove", "croft0")
	if after := hostNetwork(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	in(t, vps, "ping", "-c", "1", "-W", "10", "10.90.0.1")
}

// Whoever removes a bridge, a port or a link, a start and a repair bring it
// back to the VPSs that run.
func TestRepairOfRunningVPSs(t *testing.T) {
	a, b := boot(t, "busybox", "--publish", "18099:7"), boot(t, "busybox")
	must(t, "route", a, "add", "10.99.0.0/16", "--via", "10.90.0.1")
	linkOf := func(vps string) string { return inspect(t, vps).Interfaces[0].HostLink }
	reach := func(when string) {
		t.Helper()
		for _, pair := range [][2]string{{a, b}, {b, a}} {
			if r := try("exec", pair[0], "ping", "-c", "1", "-W", "10", address(t, pair[1], 0)); r.status != 0 {
				t.Fatalf("%s: %s", when, r)
			}
		}
	}
	reach("before")
	for _, damage := range []string{"ip link del croft0", "ip addr flush dev croft0", "ip link set " + linkOf(a) + " nomaster"} {
		onHost(t, damage)
		boot(t, "busybox")
		reach("a start after " + damage)
	}
	for _, damage := range []string{"ip link del croft0", "ip link del " + linkOf(a), "ip link set " + linkOf(b) + " down"} {
		onHost(t, damage)
		must(t, "network", "repair", "croft0")
		reach("a repair after " + damage)
		if got := in(t, a, "ip", "route"); !strings.Contains(got, "10.99.0.0/16") {
			t.Errorf("after %s it has the routes %s", damage, got)
		}
		if got := must(t, "publish", a, "list", "--json"); !strings.Contains(got, `"applied": true`) {
			t.Errorf("after %s it has published %s", damage, got)
		}
	}
}

// A VPS starts, with a warning, when a route or a published address of it is
// no longer possible: it must not stay down after a reboot of the host.
func TestStartWithoutWhatCannotBe(t *testing.T) {
	refused(t, 5, "8.8.8.8", "create", "--template", "busybox", "--publish", "8.8.8.8:84:84", name(t, "elsewhere"))
	vps := create(t, "busybox")
	refused(t, 5, "9.9.9.9", "route", vps, "add", "1.2.3.0/24", "--via", "9.9.9.9")
	refused(t, 5, "10.90.77.77", "publish", vps, "add", "10.90.77.77:83:83")
	onHost(t, "ip addr add 198.18.0.9/32 dev lo")
	must(t, "publish", vps, "add", "198.18.0.9:83:83", "18083:83")
	onHost(t, "ip addr del 198.18.0.9/32 dev lo")
	must(t, "route", vps, "add", "1.2.3.0/24", "--via", "10.90.0.1")
	must(t, "route", vps, "add", "1.2.4.0/24", "--via", "10.90.0.1")
	file := filepath.Join(world.root, "vps", vps, "vps.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), `"via": "10.90.0.1"`, `"via": "9.9.9.9"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := try("start", vps)
	if r.status != 0 || !strings.Contains(r.errOut, "198.18.0.9") || !strings.Contains(r.errOut, "croft route "+vps+" remove 1") {
		t.Fatal(r)
	}
	if got := in(t, vps, "ip", "route"); !strings.Contains(got, "1.2.4.0/24") || strings.Contains(got, "1.2.3.0/24") {
		t.Errorf("its routes are %s", got)
	}
	rules := func() string {
		out, err := exec.Command("iptables-save", "-t", "nat").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := rules(); strings.Contains(got, "198.18.0.9") || !strings.Contains(got, "--dport 18083") {
		t.Errorf("published is %s", got)
	}
	onHost(t, "ip addr add 198.18.0.9/32 dev lo")
	defer onHost(t, "ip addr del 198.18.0.9/32 dev lo")
	must(t, "network", "repair", "croft0")
	if got := rules(); !strings.Contains(got, "198.18.0.9") {
		t.Errorf("published after the address is back: %s", got)
	}
}

// A network that cannot be made leaves nothing, and takes no link of the
// host's.
func TestNetworkThatCannotBeMade(t *testing.T) {
	onHost(t, "ip link add its9 type bridge")
	defer onHost(t, "ip link del its9")
	before := must(t, "network", "list", "--json")
	for _, n := range []string{"lo", "its9"} {
		refused(t, 4, n, "network", "create", n, "--ipv4", "10.99.0.0/24", "--ipv6", "none")
		refused(t, 3, n, "network", "remove", n)
	}
	refused(t, 2, "link-local", "network", "create", "ll", "--ipv4", "169.254.0.0/16")
	if after := must(t, "network", "list", "--json"); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
	must(t, "network", "repair")
}
