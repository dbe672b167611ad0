package runtime

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

// changeable is everything that a change can change of web.
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
		s.vps.Interfaces[0] == o.vps.Interfaces[0] && s.vps.OnBoot == o.vps.OnBoot && s.world == o.world
}

// changing is a change of everything, and a running VPS to make it to.
func changing(t *testing.T) (*Manager, *world, Change) {
	t.Helper()
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	before, no := claimed(t, m, "web"), vps.OnBootNo
	// Once there and back, so that the world has all that a change puts there.
	other := freeAddress(t, m, 8)
	in, out := uint64(1_000_000), uint64(2_000_000)
	for _, c := range []Change{
		{AddAddresses: []netip.Addr{other}, Rates: []RateSetting{{In: &in, Out: &out}}, Connections: new(int64(900))},
		{RemoveAddresses: []netip.Addr{other}},
	} {
		if err := m.Set(ctx, "web", c); err != nil {
			t.Fatal(err)
		}
	}
	return m, w, Change{
		OnBoot:          &no,
		AddAddresses:    []netip.Addr{freeAddress(t, m, 9), before[0]}, // the second it has already
		RemoveAddresses: before[1:],
		Rates:           []RateSetting{{In: new(uint64(3_000_000))}},
		Connections:     new(int64(500)),
	}
}

// A change that is refused, or any effect of which fails, leaves everything as
// it was: no part of it is applied or saved.
func TestSetIsAllOrNothing(t *testing.T) {
	ctx := context.Background()
	m, w, c := changing(t)
	before := changeables(t, m, w)
	for _, bad := range []struct {
		change func(Change) Change
		kind   fail.Kind
	}{
		{func(c Change) Change { c.Rates = []RateSetting{{Interface: "eth7", In: new(uint64(10_000))}}; return c }, fail.NotFound},
		{func(c Change) Change { c.Rates = []RateSetting{{In: new(uint64(1))}}; return c }, fail.Usage},
		{func(c Change) Change { c.Connections = new(int64(1)); return c }, fail.Usage},
		{func(c Change) Change { c.RemoveAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")}; return c }, fail.NotFound},
		{func(c Change) Change { c.BootOrder = new(-1); return c }, fail.Usage},
	} {
		if err := m.Set(ctx, "web", bad.change(c)); !fail.Is(err, bad.kind) {
			t.Errorf("it is refused by %v, want kind %d", err, bad.kind)
		}
		if got := changeables(t, m, w); !got.same(before) {
			t.Errorf("refused, and it was\n%+v\nand is\n%+v", before, got)
		}
	}
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			m, w, c := changing(t)
			before := changeables(t, m, w)
			w.effects, w.failAt, w.after = 0, n, after
			err := m.Set(ctx, "web", c)
			w.failAt = 0
			if err == nil && w.effects < n {
				if n < 3 {
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
				t.Errorf("effect %d (after %v) failed, and it was\n%+v\nand is\n%+v", n, after, before, got)
			}
			if err := m.Set(ctx, "web", c); err != nil {
				t.Errorf("again, after effect %d failed: %v", n, err)
			}
		}
	}
}
