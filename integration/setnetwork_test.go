//go:build integration

package integration

import "testing"

// Published ports follow set on a running VPS and after a restart, all or none.
func TestPublishBySet(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--publish", "8381:80")
	must(t, "start", "--wait=network", vps)
	answers(t, vps, "80", "81")
	must(t, "set", vps, "--publish", "-8381", "--publish", "8381:81", "--publish", "8382:80", "--label", "a=b")
	leads := func(want string, ports ...string) {
		t.Helper()
		for _, p := range ports {
			if got := outsideAsks(t, hostUp, p); got != want {
				t.Errorf("port %s: %q answers, want %q", p, got, want)
			}
		}
	}
	leads(vps, "8381", "8382")
	refused(t, 3, "9999", "set", vps, "--publish", "-8382", "--publish", "-9999", "--publish", "8383:80")
	refused(t, 4, "8381 "+vps, "set", create(t, "busybox"), "--label", "a=b", "--publish", "8381:80")
	leads(vps, "8381", "8382")
	leads("", "8383")
	must(t, "restart", "--fast", "--wait=network", vps)
	answers(t, vps, "80", "81")
	leads(vps, "8381", "8382")
	must(t, "set", vps, "--publish", "-8382:80/tcp", "--publish", "-8381")
	leads("", "8381", "8382")
}

// An address for an interface goes to that one, at once.
func TestSetAddressOfAnInterface(t *testing.T) {
	hostAsBefore(t)
	newNetwork(t, "dmz", "--ipv4", "10.77.0.0/24", "--ipv6", "fd77::/64")
	vps := create(t, "busybox", "--network", "croft0", "--network", "dmz", "--ip", "eth1:10.77.0.7")
	must(t, "start", "--wait=network", vps)
	must(t, "set", vps, "--ip-add", "eth1:10.77.0.9", "--ip-del", "eth1:10.77.0.7")
	refused(t, 2, "10.77.0.8", "set", vps, "--ip-add", "eth0:10.77.0.8")
	refused(t, 3, "eth2", "set", vps, "--ip-add", "eth2:10.77.0.8")
	if !hostPings("10.77.0.9") || hostPings("10.77.0.7") {
		t.Error("the addresses of eth1 do not answer as set")
	}
	if got := addressesOn(t, vps)["eth1"]; len(got) != 2 || got[0] != "10.77.0.9" {
		t.Errorf("eth1 has %v", got)
	}
}
