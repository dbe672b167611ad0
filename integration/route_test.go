//go:build integration

package integration

import (
	"strings"
	"testing"
)

func TestRoutes(t *testing.T) {
	hostAsBefore(t)
	for _, template := range []string{"busybox", "debian-12"} {
		t.Run(template, func(t *testing.T) {
			first, second := on(t, true, 211), on(t, true, 212)
			vps := create(t, template, "--ip", first, "--ip", second)
			must(t, "route", vps, "add", "192.0.2.0/24", "--mtu", "1300", "--src", second)
			must(t, "start", "--wait", vps)
			six := plainAddresses(t, vps)[2]
			must(t, "route", vps, "add", "2001:db8::/32", "--mtu", "1280", "--src", six)
			must(t, "route", vps, "add", "default", "--mtu", "1400", "--table", "100")
			must(t, "route", vps, "rule", "--to", "198.51.100.0/24", "--table", "100")
			routes := func(to string, words ...string) {
				t.Helper()
				got := in(t, vps, "ip", "route", "get", to)
				for _, w := range words {
					if !strings.Contains(got, w) {
						t.Errorf("to %s, %q is not in %s", to, w, got)
					}
				}
			}
			check := func() {
				t.Helper()
				routes("192.0.2.7", "src "+second, " via ")
				routes("2001:db8::7", "src "+six, " via ")
				routes("198.51.100.7", " via ")
				if list := must(t, "route", vps, "list"); strings.Count(list, " active") < 5 || strings.Contains(list, "missing") {
					t.Error(list)
				}
			}
			check()
			if template != "busybox" { // its ip does not show them
				routes("192.0.2.7", "mtu 1300")
				routes("198.51.100.7", "mtu 1400", "table 100")
			}
			must(t, "restart", "--fast", "--wait", vps)
			check()

			sh(t, vps, "ip route add 203.0.113.0/24 dev eth0")
			sh(t, vps, "ip route del 192.0.2.0/24")
			if list := must(t, "route", vps, "list"); !strings.Contains(list, "missing") || !strings.Contains(list, "203.0.113.0/24") {
				t.Error(list)
			}
			must(t, "route", vps, "apply")
			check()
			routes("203.0.113.7", "dev eth0")
			refused(t, 5, vps+" next hop", "route", vps, "add", "203.0.113.128/25", "--via", "192.0.2.250", "--table", "7")
			refused(t, 2, "192.0.2.0/24 already", "route", vps, "add", "192.0.2.0/24")
			refused(t, 3, vps+" no route default", "route", vps, "remove", "default", "--table", "101")
			must(t, "route", vps, "remove", "192.0.2.0/24")
			must(t, "route", vps, "remove", "rule", "--table", "100")
			must(t, "route", vps, "flush")
			if list := must(t, "route", vps, "list", "--no-header"); strings.Contains(list, "192.0.2.0") ||
				strings.Contains(list, "rule") || !strings.Contains(list, "0.0.0.0/0") {
				t.Error(list)
			}
		})
	}
}
