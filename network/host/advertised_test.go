package host

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"croft/integration/attack"
	"croft/network"
)

// A router is another machine, behind the host's link, that advertises itself.
type router struct {
	pid  int
	host string // the host's link to it
	mac  net.HardwareAddr
}

// newRouter makes its link as a host has one that is configured by
// advertisements: accept_ra is what the kernel has for all.
func newRouter(t *testing.T, host string, mac string) router {
	t.Helper()
	hardware, err := network.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	r := router{newVPS(t), host, hardware}
	run(t, "ip", "link", "add", host, "type", "veth", "peer", "name", "lan0", "address", mac, "netns", fmt.Sprint(r.pid))
	inVPS(t, r.pid, func() error { _, err := command("ip", "link", "set", "lan0", "up"); return err })
	run(t, "ip", "link", "set", host, "up")
	return r
}

// advertise sends an advertisement: a way to everywhere for half an hour, and
// a prefix to make addresses of (RFC 4861, sections 4.2 and 4.6.2).
func (r router) advertise(t *testing.T, prefix string) {
	t.Helper()
	from, all := network.LinkLocal(r.mac), netip.MustParseAddr("ff02::1")
	hour := []byte{0, 0, 0x0e, 0x10}
	option := attack.Bytes(3, 4, 64, 0xc0, hour, hour, 0, 0, 0, 0, netip.MustParsePrefix(prefix).Addr())
	message := attack.ICMP6(from, all, 134, 64, 0, uint16(1800), 0, 0, 0, 0, 0, 0, 0, 0, option)
	inVPS(t, r.pid, func() error {
		return attack.Send("lan0", attack.Ether(attack.GroupMAC, r.mac, 0x86dd, attack.IPv6(from, all, 58, message)))
	})
}

// believed reports whether the host goes by this router's way to everywhere.
func (r router) believed(t *testing.T) bool {
	t.Helper()
	return strings.Contains(run(t, "ip", "-6", "route", "show", "default", "proto", "ra", "dev", r.host), "via "+network.LinkLocal(r.mac).String())
}

// waitBelieved advertises until the host has heard.
func (r router) waitBelieved(t *testing.T, prefix string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !r.believed(t); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the host does not listen to the router at %s:\n%s", r.host, run(t, "ip", "-6", "route"))
		}
		r.advertise(t, prefix)
	}
}

// TestHostKeepsItsAdvertisedRoutes: a kernel that begins to forward IPv6 drops
// what it was told by routers, unless it was told in time to go on listening.
func TestHostKeepsItsAdvertisedRoutes(t *testing.T) {
	h := newHost(t)
	const prefix = "2001:db8:7::/64"
	for _, key := range []string{"all/forwarding", "default/forwarding"} { // as the host of this test may have them
		if _, err := setSysctl(network.Sysctl{Key: "net/ipv6/conf/" + key, Value: "0"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := setSysctl(network.Sysctl{Key: "net/ipv6/conf/default/accept_ra", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	uplink := newRouter(t, "wan0", "02:00:5e:00:00:01")
	uplink.waitBelieved(t, prefix)

	seed, err := h.Seed("")
	if err != nil {
		t.Fatal(err)
	}
	table := network.Default(seed)
	plan, err := network.NewPlan(table, mustClaim(t, &table, "web"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Ensure(context.Background(), network.NewHostPlan(table)); err != nil {
		t.Fatal(err)
	}
	if err := h.Plug(context.Background(), plan, initOf(newVPS(t))); err != nil {
		t.Fatal(err)
	}
	if on, err := readSysctl("net/ipv6/conf/all/forwarding"); err != nil || on != "1" {
		t.Fatalf("forwarding is %s, %v: nothing has been tried", on, err)
	}
	if !uplink.believed(t) {
		t.Errorf("the first VPS took the host's way out:\n%s", run(t, "ip", "-6", "route"))
	}
	if got := run(t, "ip", "-6", "addr", "show", "dev", "wan0", "dynamic"); !strings.Contains(got, "2001:db8:7:") {
		t.Errorf("the first VPS took the host's address:\n%s", got)
	}

	// What is lost later is learnt again, and by links to come too.
	run(t, "ip", "-6", "route", "flush", "proto", "ra")
	uplink.waitBelieved(t, prefix)
	newRouter(t, "wan1", "02:00:5e:00:00:02").waitBelieved(t, "2001:db8:8::/64")

	// Who advertises itself from inside a VPS's bridge is not believed.
	bridge := newRouter(t, "port0", "02:00:5e:00:00:03")
	run(t, "ip", "link", "set", "port0", "master", table.Bridge)
	bridge.advertise(t, "2001:db8:9::/64")
	uplink.waitBelieved(t, prefix) // what came before has been heard by now
	if got := run(t, "ip", "-6", "route", "show", "default", "dev", table.Bridge); got != "" {
		t.Errorf("a router on the bridge is believed:\n%s", got)
	}
}
