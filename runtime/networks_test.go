package runtime

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"croft/internal/fail"
)

// A repair makes an interface of a running VPS anew, with its routes.
func TestRepairMakesAMissingInterface(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.drop("link", "web"); err != nil {
		t.Fatal(err)
	}
	if err := m.RepairNetwork(ctx, DefaultNetwork); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.String(), "link web") {
		t.Errorf("it has no link:\n%s", w)
	}
}

// What cannot work is refused when it is set: routes whose next hop or source
// is nowhere, and ports of addresses that the host does not have.
func TestWhatCannotWorkIsRefused(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox"}); err != nil {
		t.Fatal(err)
	}
	elsewhere := Publication{Protocol: "tcp", Host: "8.8.8.8", Ports: "84", To: "84"}
	for what, err := range map[string]error{
		"a next hop on no network": m.AddRoute(ctx, "web", Route{Destination: "1.2.3.0/24", Via: "9.9.9.9"}),
		"a source of others":       m.AddRoute(ctx, "web", Route{Destination: "1.2.3.0/24", Src: "10.90.0.77"}),
		"an address of others":     m.Publish(ctx, "web", []Publication{elsewhere}),
	} {
		if !fail.Is(err, fail.State) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := m.Create(ctx, "db", CreateOptions{Template: "busybox", Published: []Publication{elsewhere}}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "8.8.8.8") {
		t.Errorf("create: %v", err)
	}
	info, err := m.Inspect(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	own, _, _ := strings.Cut(info.Interfaces[0].Addresses[0], "/")
	more := netip.MustParseAddr("10.90.0.99")
	if err := m.ChangeAddresses(ctx, "web", []netip.Addr{more}, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.AddRoute(ctx, "web", Route{Destination: "1.2.3.0/24", Src: own}); err != nil {
		t.Fatal(err)
	}
	if err := m.ChangeAddresses(ctx, "web", nil, []netip.Addr{netip.MustParseAddr(own)}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "1.2.3.0/24") {
		t.Errorf("an address that a route needs is removed: %v", err)
	}
	if err := m.ChangeAddresses(ctx, "web", nil, []netip.Addr{more}); err != nil {
		t.Errorf("an address that no route needs: %v", err)
	}
}
