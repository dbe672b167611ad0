package runtime

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

// changeable returns everything of web that a change can change.
type changeable struct {
	vps   vps.VPS
	claim network.Claim
	world string
}

func changeables(t *testing.T, m *Manager, w *world) changeable {
	t.Helper()
	v, err := m.store.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	table, err := m.networkTables().Get(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := tables.ClaimOf(table, "web", "eth0")
	return changeable{v, c, w.String()}
}

func (s changeable) same(o changeable) bool {
	return slices.Equal(s.claim.Addresses, o.claim.Addresses) && s.claim.Connections == o.claim.Connections &&
		reflect.DeepEqual(s.vps, o.vps) && s.world == o.world
}

// changing returns edits of every kind, and a running VPS for them.
func changing(t *testing.T) (*Manager, *world, []vps.Edit) {
	t.Helper()
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox", Published: []vps.Publication{tcp("80", "80")}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	before := claimed(t, m, "web")
	if _, err := m.CreateNetwork(ctx, NetworkSettings{Name: "lan"}); err != nil {
		t.Fatal(err)
	}
	rule := vps.FirewallRule{Chain: vps.ChainInput, Action: vps.ActionAllow, Ports: []string{"80"}}
	// The first change and its reversal create everything that a change creates.
	other := freeAddress(t, m, 8)
	for _, edits := range [][]vps.Edit{
		{vps.AddAddress{Address: other}, vps.SetRate{In: bits(1_000_000), Out: bits(2_000_000)}, vps.SetConnections{Limit: 900},
			vps.AddRules{Rules: []vps.FirewallRule{rule}}, vps.AddRoute{Route: vps.Route{Destination: "192.0.2.0/24", Dev: "eth0"}}},
		{vps.RemoveAddress{Address: other}},
	} {
		if err := m.Change(ctx, "web", edits...); err != nil {
			t.Fatal(err)
		}
	}
	return m, w, []vps.Edit{
		vps.SetOnBoot{OnBoot: vps.OnBootNo}, vps.LimitMemory.Set(64 << 20), vps.SetLabel{Key: "tier", Value: "web"},
		vps.AddAddress{Address: freeAddress(t, m, 9)}, vps.AddAddress{Address: before[0]}, // which it has already
		vps.RemoveAddress{Address: before[1]}, vps.AddInterface{Network: "lan"},
		vps.SetRate{In: bits(3_000_000)},
		vps.SetConnections{Limit: 500}, vps.AddDevice{Device: vps.Device{Source: "/dev/sdb"}}, aTmpfs,
		vps.RemoveRules{Chosen: []vps.FirewallChoice{{Rule: rule}}}, vps.SetPolicy{Chain: vps.ChainInput, Policy: vps.PolicyDrop},
		vps.FlushRoutes{}, vps.AddRouteRule{Rule: vps.RouteRule{From: "192.0.2.0/24", Table: 100}},
		vps.Unpublish{Chosen: []vps.PublicationChoice{{Number: 80}}}, vps.Publish{Ports: []vps.Publication{tcp("81", "81")}},
	}
}

// If a change is refused, or one of its effects fails, nothing of it is applied or
// saved.
func TestChangeIsAllOrNothing(t *testing.T) {
	ctx := context.Background()
	m, w, edits := changing(t)
	for _, a := range appliers() {
		if !vps.Parts(edits...)[a.part] {
			t.Errorf("the change has nothing about %s", a.part)
		}
	}
	before := changeables(t, m, w)
	for _, bad := range []struct {
		last vps.Edit
		kind fail.Kind
	}{
		{vps.SetRate{Interface: "eth7", In: bits(10_000)}, fail.NotFound},
		{vps.SetRate{In: bits(1)}, fail.Usage},
		{vps.SetConnections{Limit: 1}, fail.Usage},
		{vps.RemoveAddress{Address: netip.MustParseAddr("192.0.2.1")}, fail.NotFound},
		{vps.AddAddress{Address: netip.MustParseAddr("192.0.2.1")}, fail.Usage}, // of no network
		{vps.SetBootOrder{Order: -1}, fail.Usage},
		{aMount("/srv/absent", "/data"), fail.State},
		{vps.RemoveMount{Target: "/data"}, fail.NotFound},
		{vps.AddRoute{Route: vps.Route{Destination: "198.51.100.0/24", Via: "9.9.9.9"}}, fail.State},
		{vps.Publish{Ports: []vps.Publication{{Protocol: "tcp", Host: "8.8.8.8", Ports: "1", To: "1"}}}, fail.State},
	} {
		if err := m.Change(ctx, "web", append(slices.Clip(edits), bad.last)...); !fail.Is(err, bad.kind) {
			t.Errorf("%s is refused by %v, want kind %d", bad.last, err, bad.kind)
		}
		if got := changeables(t, m, w); !got.same(before) {
			t.Errorf("%s was refused, and the VPS was\n%+v\nand is\n%+v", bad.last, before, got)
		}
	}
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			m, w, edits := changing(t)
			before := changeables(t, m, w)
			w.effects, w.failAt, w.after = 0, n, after
			err := m.Change(ctx, "web", edits...)
			w.failAt = 0
			if err == nil && w.effects < n {
				if n <= len(appliers()) {
					t.Errorf("only %d effects", w.effects)
				}
				break
			}
			if err == nil {
				continue // what failed did not matter
			}
			if !errors.Is(err, errWorld) {
				t.Fatalf("effect %d: %v", n, err)
			}
			if got := changeables(t, m, w); !got.same(before) {
				t.Errorf("effect %d (%s, after %v) failed, and the VPS was\n%+v\nand is\n%+v", n, w.last, after, before, got)
			}
			if err := m.Change(ctx, "web", edits...); err != nil {
				t.Errorf("again, after effect %d failed: %v", n, err)
			}
		}
	}
}
