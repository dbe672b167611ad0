//go:build integration

package integration

import (
	"os/exec"
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
