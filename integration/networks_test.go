//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// newNetwork makes a network for the rest of the test.
func newNetwork(t *testing.T, name string, options ...string) {
	t.Helper()
	must(t, append([]string{"network", "create", name}, options...)...)
	t.Cleanup(func() {
		if r := try("network", "remove", name); r.status != 0 {
			t.Errorf("%s", r)
		}
	})
}

// outsidePings asks from the machine at the other end of the host's uplink.
func outsidePings(to string) bool {
	return exec.Command("nsenter", "-t", fmt.Sprint(world.outside.Process.Pid), "-n", "ping", "-n", "-c", "1", "-W", "2", to).Run() == nil
}

// onHost runs a command on the host, in words.
func onHost(t *testing.T, words string) {
	t.Helper()
	args := strings.Fields(words)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", words, err, out)
	}
}

// addressesOn are a VPS's addresses by interface, without their lengths.
func addressesOn(t *testing.T, vps string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, i := range inspect(t, vps).Interfaces {
		for _, a := range i.Addresses {
			plain, _, _ := strings.Cut(a, "/")
			all[i.Name] = append(all[i.Name], plain)
		}
	}
	return all
}

func TestPrivateNetwork(t *testing.T) {
	hostAsBefore(t)
	newNetwork(t, "dmz", "--private", "--ipv4", "10.77.0.0/24", "--ipv6", "fd77::/64")
	one, two := create(t, "busybox", "--network", "dmz"), create(t, "busybox", "--network", "dmz", "--ip", "10.77.0.9")
	must(t, "start", "--wait=network", one, two)
	for _, a := range plainAddresses(t, two) {
		if pings(one, a) {
			t.Errorf("it reaches %s of another VPS of a private network", a)
		}
		if !hostPings(a) {
			t.Errorf("the host does not reach %s", a)
		}
	}
	if !pings(one, "10.77.0.1") || !pings(one, "fd77::1") || !pings(one, outsideUp) {
		t.Error("it does not reach its gateway, or the outside")
	}
	if hosts := in(t, one, "cat", "/etc/hosts"); strings.Contains(hosts, two) {
		t.Errorf("it knows the name of one that it cannot reach:\n%s", hosts)
	}
	refused(t, 4, "exists", "network", "create", "dmz")
	refused(t, 4, "10.77.0.0/24 of network dmz", "network", "create", "other", "--ipv4", "10.77.0.128/25")
	refused(t, 5, "used by", "network", "remove", "dmz")
	refused(t, 5, "is not there", "network", "create", "other", "--bridge", "no-such", "--ipv4", "10.76.0.0/24")
	refused(t, 5, "is not there", "network", "create", "other", "--mode", "macvlan", "--parent", "no-such")
	if list := must(t, "network", "list", "--quiet"); strings.Contains(list, "other") {
		t.Errorf("a network that could not be made is there: %s", list)
	}
}

func TestSegment(t *testing.T) {
	hostAsBefore(t)
	newNetwork(t, "seg", "--segment")
	one, two := create(t, "busybox", "--network", "seg"), create(t, "busybox", "--network", "seg")
	must(t, "start", "--wait=network", one, two)
	for _, a := range plainAddresses(t, two) {
		if !pings(one, a) {
			t.Errorf("it does not reach %s", a)
		}
	}
	if table := in(t, one, "cat", "/proc/net/arp"); !strings.Contains(table, inspect(t, two).Interfaces[0].MAC) {
		t.Errorf("it does not know the other's own MAC:\n%s", table)
	}
}

// VPSs whose addresses are of the LAN that the host is on.
func TestLAN(t *testing.T) {
	lan := []string{"--ipv4", "192.0.2.0/24", "--ipv6", "2001:db8::/64"}
	onLAN := func(n int) []string { return []string{fmt.Sprintf("192.0.2.%d", n), fmt.Sprintf("2001:db8::%x", n)} }
	start := func(t *testing.T, network string, n int) (string, []string) {
		t.Helper()
		a := onLAN(n)
		vps := create(t, "busybox", "--network", network, "--ip", a[0], "--ip", a[1])
		must(t, "start", "--wait=network", vps)
		return vps, a
	}
	t.Run("routed", func(t *testing.T) {
		hostAsBefore(t)
		newNetwork(t, "public", append(lan, "--mode", "routed", "--parent", "up0")...)
		one, a := start(t, "public", 10)
		two, b := start(t, "public", 11)
		for _, to := range b {
			if !pings(one, to) || !outsidePings(to) || !hostPings(to) {
				t.Errorf("%s is not reached by a VPS, from outside or from the host", to)
			}
		}
		if !pings(two, outsideUp) || !pings(two, outsideUp6) {
			t.Error("it does not reach the outside")
		}
		if got := in(t, one, "nc", outsideUp, echoPort); got != a[0] {
			t.Errorf("the outside sees %s, not %s", got, a[0])
		}
		if route := in(t, one, "ip", "route"); !strings.Contains(route, "default via 169.254.0.1") {
			t.Errorf("its routes are\n%s", route)
		}
		must(t, "restart", "--fast", "--wait=network", one)
		onHost(t, "ip neigh del proxy "+a[0]+" dev up0")
		onHost(t, "ip route del "+a[0])
		must(t, "network", "repair", "public")
		if !outsidePings(a[0]) {
			t.Error("after a repair it is not reached from outside")
		}
		refused(t, 4, "host's own", "set", one, "--ip-add", hostUp)
		refused(t, 4, "answers on the LAN", "set", one, "--ip-add", outsideUp)
		refused(t, 4, outsideUp6+" belongs", "create", "late", "--template", "busybox", "--network", "public", "--ip", outsideUp6)
		free := create(t, "busybox", "--network", "public")
		for _, a := range plainAddresses(t, free) {
			if a == hostUp || a == outsideUp || a == hostUp6 || a == outsideUp6 {
				t.Errorf("it was given %s, which somebody has", a)
			}
		}
	})
	t.Run("macvlan", func(t *testing.T) {
		hostAsBefore(t)
		newNetwork(t, "lan", append(lan, "--mode", "macvlan", "--parent", "up0", "--gateway", outsideUp)...)
		one, a := start(t, "lan", 12)
		for _, to := range a {
			if !outsidePings(to) {
				t.Errorf("%s is not reached from outside", to)
			}
		}
		if !pings(one, outsideUp) || !pings(one, outsideUp6) {
			t.Error("it does not reach the outside")
		}
	})
	t.Run("physical", func(t *testing.T) {
		hostAsBefore(t)
		pid := fmt.Sprint(world.outside.Process.Pid)
		onHost(t, "ip link add card9 type veth peer name far9 netns "+pid)
		t.Cleanup(func() { onHost(t, "ip link del card9") })
		onHost(t, "ip link set card9 up")
		onHost(t, "nsenter -t "+pid+" -n ip addr add 10.78.1.1/24 dev far9")
		onHost(t, "nsenter -t "+pid+" -n ip link set far9 up")
		newNetwork(t, "card", "--mode", "physical", "--parent", "card9", "--ipv4", "10.78.1.0/24", "--gateway", "10.78.1.1")
		vps := create(t, "busybox", "--network", "card", "--ip", "10.78.1.9")
		refused(t, 4, "belongs to "+vps, "create", "second", "--template", "busybox", "--network", "card")
		for _, how := range []string{"stop", "reboot", "kill", "monitor"} {
			must(t, "start", vps)
			works := func() bool { return outsidePings("10.78.1.9") && pings(vps, "10.78.1.1") }
			eventually(t, "it is on the LAN", works)
			if exec.Command("ip", "link", "show", "card9").Run() == nil {
				t.Error("the host still has the link")
			}
			switch how {
			case "reboot":
				boot := inspect(t, vps).Boot
				try("exec", vps, "--", "reboot")
				eventually(t, "it has rebooted", func() bool { return inspect(t, vps).Boot > boot && status(t, vps) == "running" && works() })
			case "monitor":
				monitor := inspect(t, vps).MonitorPID
				if err := syscall.Kill(monitor, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				eventually(t, "it has a new monitor", func() bool {
					try("exec", vps, "--", "true") // mends what it finds
					now := inspect(t, vps).MonitorPID
					return now != 0 && now != monitor
				})
			}
			if how == "kill" {
				must(t, "kill", vps)
			} else {
				must(t, "stop", vps)
			}
			onHost(t, "ip link show card9")
		}
	})
	t.Run("foreign bridge", func(t *testing.T) {
		hostAsBefore(t)
		onHost(t, "ip link add br9 type bridge")
		t.Cleanup(func() { onHost(t, "ip link del br9") })
		onHost(t, "ip link set br9 up")
		onHost(t, "ip addr add 10.78.0.1/24 dev br9")
		newNetwork(t, "office", "--bridge", "br9", "--ipv4", "10.78.0.0/24", "--ipv6", "none", "--gateway", "10.78.0.1")
		one, two := create(t, "busybox", "--network", "office"), create(t, "busybox", "--network", "office")
		must(t, "start", "--wait=network", one, two)
		b := plainAddresses(t, two)[0]
		if !pings(one, "10.78.0.1") || !hostPings(b) {
			t.Error("the bridge's owner and its VPSs do not reach each other")
		}
		if pings(one, b) {
			t.Error("VPSs on a bridge of somebody else's reach each other, unasked")
		}
		must(t, "destroy", "--force", one, two)
		must(t, "network", "repair")
		onHost(t, "ip link show br9")
	})
}

// A VPS with several interfaces: the first one is its way out, each address
// goes to the network that has such.
func TestSeveralInterfaces(t *testing.T) {
	hostAsBefore(t)
	newNetwork(t, "back", "--ipv4", "10.79.0.0/24", "--ipv6", "none")
	newNetwork(t, "public", "--mode", "routed", "--ipv4", "203.0.113.0/24")
	for _, template := range []string{"busybox", "debian-12"} {
		t.Run(template, func(t *testing.T) {
			web := create(t, template, "--network", "croft0", "--network", "back", "--network", "public", "--ip", "10.79.0.7", "--ip", "203.0.113.9")
			db := create(t, "busybox", "--network", "back")
			edge := create(t, "busybox", "--network", "public")
			must(t, "start", "--wait=network", web, db, edge)
			at := addressesOn(t, web)
			if len(at["eth0"]) != 2 || strings.Join(at["eth1"], " ") != "10.79.0.7" || strings.Join(at["eth2"], " ") != "203.0.113.9" {
				t.Errorf("its addresses are %v", at)
			}
			reach := func(when string) {
				t.Helper()
				for _, to := range []string{address(t, db, 0), address(t, edge, 0), outsideUp, outsideUp6} {
					if !pings(web, to) {
						t.Errorf("%s it does not reach %s", when, to)
					}
				}
				if !pings(db, "10.79.0.7") || !pings(edge, "203.0.113.9") {
					t.Errorf("%s it is not reached", when)
				}
				if pings(db, at["eth0"][0]) {
					t.Errorf("%s it is reached from a network that it is not in", when)
				}
				if got := in(t, web, "nc", outsideUp, echoPort); template == "busybox" && got != hostUp {
					t.Errorf("%s the outside sees %s", when, got)
				}
			}
			if template == "debian-12" { // no nc
				reach = func(when string) {
					t.Helper()
					if !pings(web, address(t, db, 0)) || !pings(web, address(t, edge, 0)) || !pings(web, outsideUp) || !pings(db, "10.79.0.7") || !pings(edge, "203.0.113.9") {
						t.Errorf("%s it does not reach all, or is not reached", when)
					}
				}
			}
			reach("at first")
			must(t, "set", web, "--ip-add", "10.79.0.8", "--ip-add", "203.0.113.10")
			if !pings(db, "10.79.0.8") || !pings(edge, "203.0.113.10") {
				t.Error("its new addresses are not reached")
			}
			must(t, "set", web, "--ip-del", "10.79.0.8", "--ip-del", "203.0.113.10")
			if pings(db, "10.79.0.8") {
				t.Error("an address that it gave up is still reached")
			}
			must(t, "restart", "--wait=network", web)
			reach("after a restart")
			if template == "debian-12" {
				in(t, web, "systemctl", "restart", "networking")
				reach("after a restart of its network service")
			}
			var listed []struct {
				Interfaces []struct{ Name, Network string }
			}
			if err := json.Unmarshal([]byte(must(t, "list", "--json", "--filter", "name="+web)), &listed); err != nil || len(listed) != 1 || len(listed[0].Interfaces) != 3 ||
				listed[0].Interfaces[2].Network != "public" {
				t.Errorf("list shows %v, %v", listed, err)
			}
			must(t, "destroy", "--force", web, db, edge)
		})
	}
	refused(t, 2, "--network", "create", "x", "--template", "busybox", "--network", "none", "--network", "back")
	refused(t, 2, "twice", "create", "x", "--template", "busybox", "--network", "back", "--network", "back")
	refused(t, 3, "no network", "create", "x", "--template", "busybox", "--network", "no-such")
}
