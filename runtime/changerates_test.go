package runtime

import (
	"context"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

func bits(n uint64) *uint64 { return &n }

// Rates are saved and applied at once. A direction that is not named is left unchanged.
// A rate that cannot be applied is not saved.
func TestSetRates(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	o := CreateOptions{Template: "busybox", Rates: []vps.SetRate{{In: bits(1_000_000), Out: bits(2_000_000)}}}
	if _, err := m.Create(ctx, "web", o); err != nil {
		t.Fatal(err)
	}
	want := func(in, out uint64, applied string) {
		t.Helper()
		v, err := m.store.Get("web")
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Interfaces[0].Rate; got != (vps.Rate{In: in, Out: out}) {
			t.Errorf("saved is %+v", got)
		}
		info, err := m.Inspect(ctx, "web")
		if err != nil || info.Interfaces[0].Rate != v.Interfaces[0].Rate {
			t.Errorf("shown is %+v, %v", info.Interfaces, err)
		}
		if !strings.Contains(w.String()+"\n", applied+"\n") || applied == "" && strings.Contains(w.String(), "rate web") {
			t.Errorf("no %q in\n%s", applied, w)
		}
	}
	set := func(edits ...vps.Edit) {
		t.Helper()
		if err := m.Change(ctx, "web", edits...); err != nil {
			t.Fatal(err)
		}
	}
	want(1_000_000, 2_000_000, "")
	set(vps.SetRate{In: bits(3_000_000)})
	want(3_000_000, 2_000_000, "")
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	want(3_000_000, 2_000_000, "rate web {3000000 2000000}")
	set(vps.SetRate{Interface: "eth0", Out: bits(0)})
	want(3_000_000, 0, "rate web {3000000 0}")
	set(vps.SetRate{In: bits(10_000), Out: bits(10_000)}, vps.SetRate{Interface: "eth0", In: bits(20_000)})
	want(20_000, 10_000, "rate web {20000 10000}")

	for _, c := range []struct {
		r    vps.SetRate
		kind fail.Kind
	}{
		{vps.SetRate{Interface: "eth1", In: bits(10_000)}, fail.NotFound},
		{vps.SetRate{In: bits(7_999)}, fail.Usage}, {vps.SetRate{Out: bits(vps.MostRate + 1)}, fail.Usage},
	} {
		if err := m.Change(ctx, "web", vps.SetRate{In: bits(9_000)}, c.r); !fail.Is(err, c.kind) {
			t.Errorf("%+v: %v", c.r, err)
		}
	}
	w.failAt, w.after = w.effects+1, true
	if err := m.Change(ctx, "web", vps.SetRate{In: bits(9_000)}); err == nil {
		t.Error("it was applied in a world that refuses")
	}
	w.failAt = 0
	want(20_000, 10_000, "rate web {20000 10000}")

	if err := w.put("rate", "web", "none"); err != nil {
		t.Fatal(err)
	}
	if err := m.RepairNetwork(ctx, DefaultNetwork); err != nil {
		t.Fatal(err)
	}
	want(20_000, 10_000, "rate web {20000 10000}")

	if _, err := m.Create(ctx, "alone", CreateOptions{Template: "busybox", Networks: onNetworks(NoNetwork)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Change(ctx, "alone", o.Rates[0]); !fail.Is(err, fail.State) {
		t.Errorf("without a network: %v", err)
	}
	o.Networks = onNetworks(NoNetwork)
	if _, err := m.Create(ctx, "none", o); !fail.Is(err, fail.Usage) {
		t.Errorf("created without a network: %v", err)
	}
	o.Networks, o.Rates = nil, []vps.SetRate{{Interface: "eth9", In: bits(9_000)}}
	if _, err := m.Create(ctx, "none", o); !fail.Is(err, fail.NotFound) {
		t.Errorf("created with a rate of an interface that is not: %v", err)
	}
}
