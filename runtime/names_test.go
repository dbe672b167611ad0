package runtime

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/tables"
)

// A running VPS has the names of the others from its start on, also when VPSs are
// created, changed or destroyed.
func TestNamesFollow(t *testing.T) {
	m, w := newFake(t, t.TempDir())
	ctx := context.Background()
	first := map[string]uint32{}
	create := func(name vps.Name) netip.Addr {
		t.Helper()
		if _, err := m.Create(ctx, name, CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
		v, err := m.store.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		first[string(name)] = v.IDs.First
		claim, _ := tables.ClaimOf(m.networkTables().All()[DefaultNetwork], name, "eth0")
		return claim.Addresses[0]
	}
	knows := func(name, of string) []netip.Addr {
		for _, h := range w.toldOf(first[name]) {
			if h.Name == of {
				return h.Addresses
			}
		}
		return nil
	}
	db := create("db")
	create("idle")
	if err := m.Start(ctx, "db", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := knows("db", "idle"); len(got) == 0 {
		t.Error("db does not know idle, which was there before it")
	}
	if len(w.toldOf(first["idle"])) != 0 {
		t.Error("idle was told, and does not run")
	}
	// told returns how many VPSs are written to while do runs.
	told := func(do func() error) int {
		t.Helper()
		before := w.tellings
		if err := do(); err != nil {
			t.Fatal(err)
		}
		return w.tellings - before
	}
	if n := told(func() error { create("web"); return nil }); n != 0 || len(knows("db", "web")) != 0 {
		t.Errorf("a create told %d VPSs of one that has never run", n)
	}
	start := func(name vps.Name) func() error {
		return func() error { return m.Start(ctx, name, StartOptions{}) }
	}
	kill := func(name vps.Name) func() error {
		return func() error { return m.Stop(ctx, name, StopOptions{Fast: true}) }
	}
	if n := told(start("web")); n != 2 || len(knows("db", "web")) == 0 || len(knows("web", "db")) == 0 {
		t.Errorf("the first start of web told %d VPSs, and not db and web", n)
	}
	// Nothing is written if nothing changes.
	if n := told(kill("web")); n != 0 {
		t.Errorf("a stop told %d VPSs", n)
	}
	if n := told(start("web")); n != 1 {
		t.Errorf("the second start of web told %d VPSs, and not itself alone", n)
	}
	if n := told(kill("web")); n != 0 {
		t.Errorf("a stop told %d VPSs", n)
	}
	// A repair restores names that were removed inside.
	delete(w.told, first["db"])
	if n := told(func() error { return m.RepairNetwork(ctx, DefaultNetwork) }); n != 1 || len(knows("db", "web")) == 0 {
		t.Errorf("a repair told %d VPSs, and not db alone", n)
	}
	if n := told(func() error {
		create("never")
		return m.Destroy(ctx, "never", DestroyOptions{})
	}); n != 0 {
		t.Errorf("%d VPSs were told of one that came and went without running", n)
	}
	more := db.Next().Next().Next().Next()
	if err := m.Change(ctx, "web", vps.AddAddress{Address: more}); err != nil {
		t.Fatal(err)
	}
	if got := knows("db", "web"); len(got) == 0 || !slices.Contains(got, more) {
		t.Errorf("db knows web by %v, and not by %s", got, more)
	}
	if err := m.Destroy(ctx, "web", DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := knows("db", "web"); len(got) != 0 {
		t.Errorf("db still knows web, which is gone: %v", got)
	}
}

// VPSs of a network without names do not get each other's names. A change of that
// takes effect in running VPSs.
func TestNetworkWithoutNames(t *testing.T) {
	m, w := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.CreateNetwork(ctx, NetworkSettings{Name: "strangers", IPv4: netip.MustParsePrefix("10.7.0.0/24"), NoIPv6: true, NoNames: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web", "db"} {
		if _, err := m.Create(ctx, vps.Name(name), CreateOptions{Template: "t", Networks: onNetworks("strangers")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	v, err := m.store.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	names := func(names bool, want ...string) {
		t.Helper()
		if err := m.SetNetwork(ctx, "strangers", NetworkChange{Names: &names}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range w.toldOf(v.IDs.First) {
			got = append(got, h.Name)
		}
		info, err := m.Network(ctx, "strangers")
		if !slices.Equal(got, want) || err != nil || info.Names != names {
			t.Errorf("names %v: web knows %v; inspect says %v, %v", names, got, info.Names, err)
		}
	}
	names(false, "web")
	names(true, "db", "web")
	names(false, "web")
	if err := m.SetNetwork(ctx, "absent", NetworkChange{}); !fail.Is(err, fail.NotFound) {
		t.Errorf("a network that does not exist: %v", err)
	}
}
