//go:build integration

package integration

import (
	"os/exec"
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
