//go:build integration

package integration

import (
	"slices"
	"strings"
	"testing"
)

// guestNetwork is what a VPS's kernel and resolver say of its network: the
// same again, whoever has set it up.
func guestNetwork(vps string) string {
	r := try("exec", vps, "--", "sh", "-c", "ip -o addr show dev eth0; echo; ip route; ip -6 route; echo; cat /etc/resolv.conf")
	links, rest, _ := strings.Cut(r.out, "\n\n")
	routes, resolvers, _ := strings.Cut(rest, "\n\n")
	var lines []string
	for line := range strings.Lines(links) {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "inet" && f[2] != "inet6" {
			continue
		}
		address := "address " + f[3]
		if strings.Contains(line, " dynamic") || strings.Contains(line, " temporary") {
			address += ", which the network gave"
		}
		lines = append(lines, address)
	}
	for line := range strings.Lines(routes) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "ff00::/8" || f[0] == "multicast" {
			continue
		}
		route := "route " + f[0]
		for _, key := range []string{"via", "dev", "mtu", "advmss"} {
			if i := slices.Index(f, key); i > 0 && i+1 < len(f) {
				route += " " + key + " " + f[i+1]
			}
		}
		lines = append(lines, route)
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n") + "\n" + resolvers + r.errOut
}

// Whatever network service a distribution has, and whenever that or the VPS
// starts again, it has the addresses, routes and resolvers that croft gave it.
func TestGuestNetworkService(t *testing.T) {
	for i, c := range []struct {
		name, template string
		restarts       []string
	}{
		{"busybox", "busybox", nil}, // it has none: the kernel keeps what croft sets
		{"ifupdown of 13", "debian-13", []string{"systemctl restart networking"}},
		{"sysvinit", "debian-12-sysvinit", []string{"service networking restart"}},
		{"openrc", "debian-12-openrc", []string{"rc-service networking restart"}},
		{"networkd", "debian-12", []string{
			"systemctl restart networking", "ifdown eth0; ifup eth0",
			"systemctl disable --now networking; systemctl enable --now systemd-networkd",
			"systemctl restart systemd-networkd",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostAsBefore(t)
			four, six := on(t, true, byte(200+i)), on(t, false, byte(200+i))
			vps := create(t, c.template, "--ip", four, "--ip", on(t, true, byte(210+i)), "--ip", six,
				"--dns", "192.0.2.53", "--dns", "2001:db8::53", "--search", "example.org")
			must(t, "start", "--wait=network", vps)
			must(t, "route", vps, "add", "198.51.100.0/24", "--mtu", "1300")
			want := guestNetwork(vps)
			for _, part := range []string{"address " + four, "address " + six, "route default via", "route 198.51.100.0/24", "192.0.2.53", "2001:db8::53"} {
				if !strings.Contains(want, part) {
					t.Fatalf("it has no %q:\n%s", part, want)
				}
			}
			same := func(after string) {
				t.Helper()
				var got string
				defer func() {
					if t.Failed() {
						t.Logf("after %s it has\n%s\nand had\n%s", after, got, want)
					}
				}()
				eventually(t, "its network is as before, after "+after, func() bool { got = guestNetwork(vps); return got == want })
				if !pings(vps, outsideUp) || !pings(vps, outsideUp6) || !hostPings(four) {
					t.Errorf("after %s it does not reach others, or they it", after)
				}
			}
			for _, script := range c.restarts {
				sh(t, vps, script)
				if strings.Contains(script, "disable") { // no service of either sort knows what the other lost
					eventually(t, "it has its routes back", func() bool { return try("route", vps, "apply").status == 0 })
				}
				same(script)
			}
			reboot(t, vps)
			same("a reboot")
		})
	}
}
