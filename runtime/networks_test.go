package runtime

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A repair creates a missing interface of a running VPS again, with its routes.
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

// Settings that cannot work are refused: routes whose next hop or source does not
// exist, and ports on addresses that the host does not have.
func TestWhatCannotWorkIsRefused(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox"}); err != nil {
		t.Fatal(err)
	}
	elsewhere := vps.Publication{Protocol: "tcp", Host: "8.8.8.8", Ports: "84", To: "84"}
	for what, err := range map[string]error{
		"a next hop on no network": m.Change(ctx, "web", vps.AddRoute{Route: vps.Route{Destination: "1.2.3.0/24", Via: "9.9.9.9"}}),
		"a source of others":       m.Change(ctx, "web", vps.AddRoute{Route: vps.Route{Destination: "1.2.3.0/24", Src: "10.90.0.77"}}),
		"an address of others":     m.Change(ctx, "web", vps.Publish{Ports: []vps.Publication{elsewhere}}),
	} {
		if !fail.Is(err, fail.State) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := m.Create(ctx, "db", CreateOptions{Template: "busybox", Published: []vps.Publication{elsewhere}}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "8.8.8.8") {
		t.Errorf("create: %v", err)
	}
	info, err := m.Inspect(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	own, _, _ := strings.Cut(info.Interfaces[0].Addresses[0], "/")
	more := netip.MustParseAddr("10.90.0.99")
	if err := m.Change(ctx, "web", vps.AddAddress{Address: more}); err != nil {
		t.Fatal(err)
	}
	if err := m.Change(ctx, "web", vps.AddRoute{Route: vps.Route{Destination: "1.2.3.0/24", Src: own}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Change(ctx, "web", vps.RemoveAddress{Address: netip.MustParseAddr(own)}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "1.2.3.0/24") {
		t.Errorf("an address that a route needs is removed: %v", err)
	}
	if err := m.Change(ctx, "web", vps.RemoveAddress{Address: more}); err != nil {
		t.Errorf("an address that no route needs: %v", err)
	}
}

// A network whose table cannot be read does not affect others, and can be removed and
// created again.
func TestOneBadTable(t *testing.T) {
	ctx := context.Background()
	for what, damage := range map[string]string{
		"empty": "", "cut": `{"schema": 2, "na`, "null": "null", "a list": "[]", "newer": `{"schema": 99, "name": "croft0", "mode": "bridge"}`,
		"of another network": `{"schema": 2, "name": "other", "mode": "none", "claims": []}`,
	} {
		t.Run(what, func(t *testing.T) {
			m, w := newFake(t, t.TempDir())
			for _, n := range []string{"web", "db"} {
				if _, err := m.Create(ctx, vps.Name(n), CreateOptions{Template: "busybox"}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := m.CreateNetwork(ctx, NetworkSettings{Name: "dmz", IPv4: netip.MustParsePrefix("10.7.0.0/24"), NoIPv6: true}); err != nil {
				t.Fatal(err)
			}
			if err := m.Start(ctx, "web", StartOptions{}); err != nil {
				t.Fatal(err)
			}
			file := m.store.NetworkFile(DefaultNetwork)
			if err := os.WriteFile(file, []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
			all, err := m.Networks(ctx)
			if err != nil || len(all) != 2 || all[0].Error == "" || all[1].Error != "" {
				t.Errorf("networks: %+v, %v", all, err)
			}
			for what, err := range map[string]error{
				"repair": m.RepairNetwork(ctx, DefaultNetwork), "remove": m.RemoveNetwork(ctx, DefaultNetwork, false),
				"remove --force below a VPS that runs": m.RemoveNetwork(ctx, DefaultNetwork, true),
			} {
				if !fail.Is(err, fail.State) || what != "remove --force below a VPS that runs" && (!strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "network croft0")) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if err := m.RepairNetwork(ctx, "dmz"); err != nil {
				t.Errorf("another network: %v", err)
			}
			if err := m.Stop(ctx, "web", StopOptions{Fast: true}); err != nil {
				t.Errorf("stop: %v", err)
			}
			if err := m.Destroy(ctx, "db", DestroyOptions{Force: true}); err != nil {
				t.Errorf("destroy: %v", err)
			}
			if err := m.RemoveNetwork(ctx, DefaultNetwork, true); err != nil {
				t.Fatal(err)
			}
			if kept, err := os.ReadFile(file + ".broken"); err != nil || string(kept) != damage {
				t.Errorf("kept is %q, %v", kept, err)
			}
			if err := m.Start(ctx, "web", StartOptions{}); err != nil {
				t.Fatal(err)
			}
			info, err := m.Inspect(ctx, "web")
			if err != nil || len(info.Interfaces[0].Addresses) == 0 || !strings.Contains(w.String(), "link web") {
				t.Errorf("after it was started again: %+v, %v", info.Interfaces, err)
			}
		})
	}
}

// A network with a claim that a killed create left can be removed.
func TestRemoveNetworkAfterAKilledCreate(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	if _, err := m.CreateNetwork(ctx, NetworkSettings{Name: "dmz", IPv4: netip.MustParsePrefix("10.7.0.0/24"), NoIPv6: true}); err != nil {
		t.Fatal(err)
	}
	v := vps.VPS{Name: "gone", Interfaces: []vps.Interface{{Name: "eth0", Network: "dmz"}}}
	if err := m.networkTables().Claim(ctx, v, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.RemoveNetwork(ctx, "dmz", false); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox", Networks: onNetworks("dmz")}); !fail.Is(err, fail.NotFound) {
		t.Errorf("it is still there: %v", err)
	}
}

// A repair rebuilds damaged claims of a network. Readable claims stay. A VPS that has
// lost its addresses gets others, but not while it runs.
func TestRepairDamagedClaims(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	for _, name := range []string{"db", "web"} {
		if _, err := m.Create(ctx, vps.Name(name), CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Start(ctx, "db", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	web := claimed(t, m, "web")
	file := m.store.ClaimsFile(DefaultNetwork)
	journal, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := []byte(strings.Replace(string(journal), "claim db", "claim dc", 1))
	if err := os.WriteFile(file, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.RepairNetwork(ctx, DefaultNetwork); !fail.Is(err, fail.State) {
		t.Errorf("repair while db runs: %v", err)
	}
	if err := m.Stop(ctx, "db", StopOptions{Fast: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.RepairNetwork(ctx, DefaultNetwork); err != nil {
		t.Errorf("repair: %v", err)
	}
	if got := claimed(t, m, "web"); !slices.Equal(got, web) {
		t.Errorf("web had %v and has %v", web, got)
	}
	if err := m.Start(ctx, "db", StartOptions{}); err != nil || len(claimed(t, m, "db")) == 0 {
		t.Errorf("start: %v, with %v", err, claimed(t, m, "db"))
	}
	if err := os.WriteFile(m.store.NetworkFile(DefaultNetwork), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.RepairNetwork(ctx, DefaultNetwork); !fail.Is(err, fail.State) || !strings.Contains(fail.HintOf(err), "network remove") {
		t.Errorf("repair without settings: %v", err)
	}
}
