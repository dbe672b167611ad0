//go:build integration

package integration

import (
	"os/exec"
	"strings"
	"testing"
)

// VPSs of a network reach each other by name, with the distribution's own
// resolver, whatever comes, changes and goes.
func TestNames(t *testing.T) {
	hostAsBefore(t)
	web := create(t, "debian-12")
	must(t, "start", "--wait=network", web)
	db := create(t, "busybox")
	must(t, "start", "--wait=network", db)

	resolves := func(from, to, want string) {
		t.Helper()
		r := try("exec", from, "--", "getent", "ahosts", to)
		if !strings.Contains(r.out, want+" ") {
			t.Errorf("%s finds %s at %q, want %q", from, to, r.out, want)
		}
	}
	addresses := plainAddresses(t, db)
	for _, a := range addresses {
		resolves(web, db, a)
		resolves(web, db+".croft", a)
	}
	resolves(web, web, plainAddresses(t, web)[0])
	if !pings(web, db) || !pings(db, web) || !pings(db, web+".croft") {
		t.Error("they do not reach each other by name")
	}

	sh(t, web, "echo 192.0.2.99 mine.example >>/etc/hosts")
	more := on(t, true, 231)
	must(t, "set", db, "--ip-add", more)
	resolves(web, db, more)
	must(t, "set", db, "--ip-del", addresses[0])
	if got := in(t, web, "cat", "/etc/hosts"); strings.Contains(got, addresses[0]+"\t") || !strings.Contains(got, "192.0.2.99 mine.example") {
		t.Errorf("after a change its /etc/hosts is\n%s", got)
	}
	must(t, "stop", db)
	must(t, "start", "--wait=network", db)
	must(t, "restart", "--wait=network", web)
	resolves(web, db, more)
	if !pings(web, db) || !pings(db, web) {
		t.Error("after restarts they do not reach each other by name")
	}
	if got := in(t, web, "stat", "-c", "%U:%G %a", "/etc/hosts"); got != "root:root 644" {
		t.Errorf("its /etc/hosts is %s", got)
	}

	sh(t, web, "sed -i /"+db+"/d /etc/hosts")
	must(t, "network", "repair")
	resolves(web, db, more)
	must(t, "destroy", "--force", db)
	if got := in(t, web, "cat", "/etc/hosts"); strings.Contains(got, db) {
		t.Errorf("it still knows %s, which is gone:\n%s", db, got)
	}
	resolves(web, "mine.example", "192.0.2.99")

	// What is no file of the usual sort stays, and is in nobody's way.
	sh(t, web, "rm /etc/hosts; mkfifo /etc/hosts")
	other := create(t, "busybox")
	must(t, "destroy", other)
	if got := in(t, web, "stat", "-c", "%F", "/etc/hosts"); got != "fifo" {
		t.Errorf("its /etc/hosts has become a %s", got)
	}
	if text := in(t, web, "cat", "/etc/resolv.conf"); strings.Contains(text, "nameserver 127.") {
		t.Errorf("it asks itself: %s", text)
	}
	if out, err := exec.Command("grep", "-l", web, "/etc/hosts").Output(); err == nil {
		t.Errorf("the host's own file names it: %s", out)
	}
}

// A VPS that is given another name inside knows that name after a restart.
func TestHostnameSetInside(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	sh(t, vps, "echo renamed >/etc/hostname")
	must(t, "restart", "--wait", vps)
	if got := sh(t, vps, "cat /etc/hostname; grep -w renamed /etc/hosts"); !strings.HasPrefix(got, "renamed\n") || !strings.Contains(got, vps) {
		t.Errorf("it is called\n%s", got)
	}
	destroy(t, vps)
}

// In a network without names a VPS knows itself alone, and a change of that is
// in /etc/hosts at once.
func TestNetworkWithoutNames(t *testing.T) {
	hostAsBefore(t)
	const network = "quiet"
	newNetwork(t, network, "--ipv6", "none", "--names=no")
	web := boot(t, "busybox", "--network", network)
	db := create(t, "busybox", "--network", network)
	hosts := func(known bool) {
		t.Helper()
		if got := in(t, web, "cat", "/etc/hosts"); strings.Contains(got, db) != known || !strings.Contains(got, web) {
			t.Errorf("its /etc/hosts is\n%s", got)
		}
	}
	hosts(false)
	must(t, "network", "set", network, "--names", "yes")
	hosts(true)
	must(t, "network", "set", network, "--names", "no")
	hosts(false)
	if info := must(t, "network", "inspect", network); !strings.Contains(info, `"names": false`) {
		t.Error(info)
	}
}
