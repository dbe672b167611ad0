//go:build integration

package integration

import (
	"strings"
	"testing"
)

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

// A running VPS gets a network, with its filters, and loses it.
func TestSetNetworks(t *testing.T) {
	hostAsBefore(t)
	newNetwork(t, "dmz", "--ipv4", "10.77.0.0/24", "--ipv6", "fd77::/64")
	vps, peer := create(t, "busybox", "--publish", "8391:80"), create(t, "busybox", "--network", "dmz")
	must(t, "start", "--wait=network", vps, peer)
	answers(t, vps, "80")
	first, there := plainAddresses(t, vps)[0], plainAddresses(t, peer)[0]
	reaches := func(want bool) {
		t.Helper()
		if pings(vps, there) != want || hostPings("10.77.0.9") != want {
			t.Errorf("the network is reached: want %t", want)
		}
	}

	// All or nothing: the address has another owner.
	before := settingsOf(t, vps)
	refused(t, 4, there+" "+peer, "set", vps, "--memory", "64M", "--network-add", "dmz:ip="+there)
	refused(t, 3, "eth7", "set", vps, "--network-add", "dmz", "--rate", "eth7:1M")
	if after := settingsOf(t, vps); after != before {
		t.Errorf("it is refused, and the settings were\n%s\nand are\n%s", before, after)
	}
	if links := sh(t, vps, "ls /sys/class/net"); strings.Contains(links, "eth1") {
		t.Errorf("it is refused, and there is %s", links)
	}

	must(t, "set", vps, "--network-add", "dmz:ip=10.77.0.9,mac=02:00:00:00:00:77,name=lan0", "--rate", "lan0:100M")
	reaches(true)
	if got := sh(t, vps, "cat /sys/class/net/lan0/address"); strings.TrimSpace(got) != "02:00:00:00:00:77" {
		t.Errorf("its MAC is %s", got)
	}
	sh(t, vps, "ip address add 10.77.0.10/24 dev lan0")
	if in := try("exec", vps, "--", "ping", "-c", "1", "-W", "1", "-I", "10.77.0.10", there); in.status == 0 {
		t.Error("it sends from an address that is not its own")
	}
	if hosts := in(t, peer, "cat", "/etc/hosts"); !strings.Contains(hosts, vps) {
		t.Errorf("its peer does not know its name:\n%s", hosts)
	}
	must(t, "restart", "--fast", "--wait=network", vps)
	answers(t, vps, "80")
	reaches(true)

	// The other network gets the default route and the published port.
	must(t, "set", vps, "--network-del", "croft0")
	if !pings(vps, outsideUp) || hostPings(first) {
		t.Error("the first network is gone, and with it the way out, or it is still there")
	}
	if got := outsideAsks(t, hostUp, "8391"); got != vps {
		t.Errorf("%q answers at the published port", got)
	}
	refused(t, 5, "published ports", "set", vps, "--network-del", "dmz")
	reaches(true)
	must(t, "set", vps, "--network-del", "dmz", "--network-add", "croft0", "--rate", "unlimited")
	reaches(false)
	if !pings(vps, outsideUp) || outsideAsks(t, hostUp, "8391") != vps {
		t.Error("it has the first network again, and is not reached there")
	}
	must(t, "set", vps, "--publish", "-8391", "--network-del", "croft0")
	if links := sh(t, vps, "ls /sys/class/net"); strings.Contains(links, "eth") {
		t.Errorf("it has no network, and there is %s", links)
	}
}
