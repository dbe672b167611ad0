package host

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"croft/internal/fail"
	"croft/network"
)

// A VPS that runs gets an interface of each mode once, and loses it, however often each
// is asked for. What it has made itself under that name stays.
func TestJoinAndLeave(t *testing.T) {
	for name, s := range map[string]network.Settings{
		"bridge": {}, "routed": {Mode: network.ModeRouted, IPv4: netip.MustParsePrefix("10.89.0.0/24")}, "macvlan": {Mode: network.ModeMACVLAN, Parent: "eth9"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			if s.Mode == network.ModeMACVLAN {
				newLAN(t, false)
			}
			p := newPairIn(t, h, newTable(t, s))
			ctx, plan, init := context.Background(), p.plans[0], initOf(p.pids[0])
			there := func(want bool) {
				t.Helper()
				inVPS(t, p.pids[0], func() error {
					if _, err := netlink.LinkByName("eth0"); (err == nil) != want {
						return fmt.Errorf("eth0 is there: want %t, %v", want, err)
					}
					return nil
				})
			}
			for range 2 {
				for range 2 {
					if err := h.Leave(ctx, plan, init); err != nil {
						t.Fatal(err)
					}
					there(false)
				}
				for range 2 {
					if err := h.Join(ctx, plan, init); err != nil {
						t.Fatal(err)
					}
					there(true)
				}
			}
			if err := h.Leave(ctx, plan, init); err != nil {
				t.Fatal(err)
			}
			inVPS(t, p.pids[0], func() error {
				_, err := command("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
				return err
			})
			if err := h.Join(ctx, plan, init); !fail.Is(err, fail.Taken) {
				t.Errorf("the VPS has an eth0 of its own: %v", err)
			}
			there(true)
		})
	}
	h := newHost(t)
	given := network.Plan{Mode: network.ModePhysical, Network: "nic", Parent: "eth9", Owner: "web"}
	for _, err := range []error{h.Join(context.Background(), given, initOf(1)), h.Leave(context.Background(), given, initOf(1))} {
		if !fail.Is(err, fail.State) {
			t.Errorf("a link of the host moves while the VPS runs: %v", err)
		}
	}
}
