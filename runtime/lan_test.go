package runtime

import (
	"context"
	"net/netip"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/paths"
)

// No VPS gets an address that a machine on the LAN uses: a wanted one is refused, and an
// automatic one is another address.
func TestAddressesOfTheLAN(t *testing.T) {
	m, w := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.CreateNetwork(ctx, NetworkSettings{Name: "lan", Bridge: "br9", IPv4: netip.MustParsePrefix("192.0.2.0/24")}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.9"} {
		if err := w.put("lan", "br9 "+a, ""); err != nil {
			t.Fatal(err)
		}
	}
	o := CreateOptions{Template: "t", Networks: onNetworks("lan")}
	info, err := m.Create(ctx, "web", o)
	if err != nil || len(info.Interfaces) != 1 || len(info.Interfaces[0].Addresses) != 1 || info.Interfaces[0].Addresses[0] != "192.0.2.3/24" {
		t.Fatalf("the first free one is 192.0.2.3: %+v, %v", info.Interfaces, err)
	}
	taken := []netip.Addr{netip.MustParseAddr("192.0.2.9")}
	o.Addresses = []vps.AddAddress{{Address: taken[0]}}
	if _, err := m.Create(ctx, "db", o); !fail.Is(err, fail.Taken) || paths.Exists(m.store.VPSDir("db")) {
		t.Errorf("created with an address of the LAN's: %v", err)
	}
	if err := m.Change(ctx, "web", vps.AddAddress{Address: taken[0]}); !fail.Is(err, fail.Taken) {
		t.Errorf("added an address of the LAN's: %v", err)
	}
	table, err := m.networkTables().Get("lan")
	if err != nil || len(table.Claims) != 1 || len(table.Claims[0].Addresses) != 1 {
		t.Errorf("left is %+v, %v", table.Claims, err)
	}
	// Not on a bridge of croft: only VPSs are there.
	if _, err := m.Create(ctx, "other", CreateOptions{Template: "t"}); err != nil {
		t.Error(err)
	}
}
