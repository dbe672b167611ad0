package runtime

import (
	"context"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// The limit of connections is saved and applied at once. A limit that cannot be applied
// is not saved.
func TestSetConnections(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	o := CreateOptions{Template: "busybox", Connections: 100}
	if _, err := m.Create(ctx, "web", o); err != nil {
		t.Fatal(err)
	}
	want := func(n int64, applied string) {
		t.Helper()
		info, err := m.Inspect(ctx, "web")
		if err != nil || info.Interfaces[0].Connections != n {
			t.Errorf("shown is %+v, %v, not %d", info.Interfaces, err, n)
		}
		if !strings.Contains(w.String()+"\n", applied+"\n") {
			t.Errorf("no %q in\n%s", applied, w)
		}
	}
	set := func(n int64) {
		t.Helper()
		if err := m.Change(ctx, "web", vps.SetConnections{Limit: n}); err != nil {
			t.Fatal(err)
		}
	}
	want(100, "")
	set(200)
	want(200, "")
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	set(vps.UnlimitedConnections)
	want(vps.UnlimitedConnections, "connections web -1")
	set(300)
	want(300, "connections web 300")
	for _, n := range []int64{-2, 1, vps.MostConnections + 1} {
		if err := m.Change(ctx, "web", vps.SetConnections{Limit: n}); !fail.Is(err, fail.Usage) {
			t.Errorf("%d: %v", n, err)
		}
	}
	w.failAt, w.after = w.effects+1, true
	if err := m.Change(ctx, "web", vps.SetConnections{Limit: 400}); err == nil {
		t.Error("it was applied in a world that refuses")
	}
	w.failAt = 0
	want(300, "connections web 300")

	if _, err := m.Create(ctx, "alone", CreateOptions{Template: "busybox", Networks: onNetworks(NoNetwork)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Change(ctx, "alone", vps.SetConnections{Limit: 100}); !fail.Is(err, fail.State) {
		t.Errorf("without a network: %v", err)
	}
	o.Networks = onNetworks(NoNetwork)
	if _, err := m.Create(ctx, "none", o); !fail.Is(err, fail.Usage) {
		t.Errorf("created without a network: %v", err)
	}
}
