//go:build integration

package integration

import (
	"strings"
	"sync"
	"testing"
)

func TestChangeAddresses(t *testing.T) {
	hostAsBefore(t)
	peer := boot(t, "busybox")
	for i, template := range []string{"busybox", "debian-12"} {
		t.Run(template, func(t *testing.T) {
			vps := create(t, template)
			first := plainAddresses(t, vps)
			four, six := on(t, true, byte(221+i)), on(t, false, byte(221+i))
			must(t, "start", "--wait=network", vps)
			must(t, "route", vps, "add", "192.0.2.0/24", "--mtu", "1300")
			reach := func(want bool, addresses ...string) {
				t.Helper()
				for _, a := range addresses {
					if pings(peer, a) != want || hostPings(a) != want {
						t.Errorf("%s: reached, want %t", a, want)
					}
				}
			}
			must(t, "set", vps, "--ip-add", four, "--ip-add", six)
			must(t, "set", vps, "--ip-add", four)
			reach(true, append(first, four, six)...)
			refused(t, 4, four+" "+vps, "set", peer, "--ip-add", four)
			refused(t, 3, four, "set", peer, "--ip-del", four)

			// The first one is the primary one: what depends on it stays.
			must(t, "set", vps, "--ip-del", first[0], "--ip-del", first[1])
			reach(true, four, six)
			reach(false, first[0])
			if !pings(vps, outsideUp) || !strings.Contains(in(t, vps, "ip", "route", "get", "192.0.2.7"), " via ") {
				t.Error("it has lost its way out")
			}
			if got := strings.Join(plainAddresses(t, vps), " "); got != four+" "+six {
				t.Errorf("inspect shows %s", got)
			}
			if got := in(t, vps, "cat", "/etc/hosts"); !strings.Contains(got, four) || strings.Contains(got, first[0]+"\t") {
				t.Errorf("its files say %s", got)
			}
			must(t, "restart", "--fast", "--wait=network", vps)
			reach(true, four, six)

			// Another may have what was given up.
			must(t, "set", peer, "--ip-add", first[0])
			reach(true, four)
			if !hostPings(first[0]) || !pings(vps, first[0]) {
				t.Error("its new owner is not reached at it")
			}
			must(t, "set", peer, "--ip-del", first[0])
			must(t, "destroy", "--force", vps)
		})
	}

	t.Run("one winner", func(t *testing.T) {
		claimed := on(t, true, 231)
		var all sync.WaitGroup
		results := make([]result, 8)
		for i := range results {
			vps := create(t, "busybox")
			all.Go(func() { results[i] = try("set", vps, "--ip-add", claimed) })
		}
		all.Wait()
		winners := 0
		for _, r := range results {
			if r.status == 0 {
				winners++
			} else if r.status != 4 || !strings.Contains(r.errOut, "belongs to") {
				t.Error(r)
			}
		}
		if winners != 1 {
			t.Errorf("%d of them have %s", winners, claimed)
		}
	})
}
