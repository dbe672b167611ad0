package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

// freeAddress returns an address of the network without an owner.
func freeAddress(t *testing.T, m *Manager, last byte) netip.Addr {
	t.Helper()
	table, err := m.networkTables().Get(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	a := table.IPv4.Addr().As4()
	a[2], a[3] = 200, last
	return netip.AddrFrom4(a)
}

// readdressing returns edits that add and remove addresses.
func readdressing(add, remove []netip.Addr) []vps.Edit {
	var edits []vps.Edit
	for _, a := range add {
		edits = append(edits, vps.AddAddress{Address: a})
	}
	for _, a := range remove {
		edits = append(edits, vps.RemoveAddress{Address: a})
	}
	return edits
}

func claimed(t *testing.T, m *Manager, name vps.Name) []netip.Addr {
	t.Helper()
	table, err := m.networkTables().Get(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := tables.ClaimOf(table, name, "eth0")
	return c.Addresses
}

// If fifty commands add one address at the same time, one gets it, and the errors of
// the others name the owner.
func TestParallelClaimsHaveOneWinner(t *testing.T) {
	dir := t.TempDir()
	m, _ := newFake(t, dir)
	ctx := context.Background()
	const many = 50
	for i := range many {
		if _, err := m.Create(ctx, vps.Name(fmt.Sprintf("v%d", i)), CreateOptions{Template: "busybox"}); err != nil {
			t.Fatal(err)
		}
	}
	wanted := []netip.Addr{freeAddress(t, m, 9)}
	var all sync.WaitGroup
	var winners atomic.Int32
	losers := make([]error, many)
	for i := range many {
		all.Go(func() {
			losers[i] = m.Change(ctx, vps.Name(fmt.Sprintf("v%d", i)), vps.AddAddress{Address: wanted[0]})
			if losers[i] == nil {
				winners.Add(1)
			}
		})
	}
	all.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d of them have it", winners.Load())
	}
	winner := fmt.Sprintf("v%d", slices.Index(losers, nil))
	for i, err := range losers {
		if err != nil && (!fail.Is(err, fail.Taken) || !strings.Contains(err.Error(), wanted[0].String()) || !strings.HasSuffix(err.Error(), " "+winner)) {
			t.Errorf("v%d: %v; the winner is %s", i, err, winner)
		}
	}
}

// A change that cannot be applied is undone and not saved.
func TestChangeAddressesFails(t *testing.T) {
	ctx := context.Background()
	for _, after := range []bool{false, true} {
		m, w := newFake(t, t.TempDir())
		if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox"}); err != nil {
			t.Fatal(err)
		}
		if err := m.Start(ctx, "web", StartOptions{}); err != nil {
			t.Fatal(err)
		}
		before, more := claimed(t, m, "web"), []netip.Addr{freeAddress(t, m, 9)}
		if err := m.networks.Readdress(ctx, network.Plan{}, mustPlan(t, m), inside.Identity{}); err != nil {
			t.Fatal(err)
		}
		world := w.String()
		w.effects, w.failAt, w.after = 0, 1, after
		if err := m.Change(ctx, "web", readdressing(more, before[:1])...); !errors.Is(err, errWorld) {
			t.Errorf("it says %v", err)
		}
		if got := claimed(t, m, "web"); !slices.Equal(got, before) || w.String() != world {
			t.Errorf("it has %v, had %v\n%s\n%s", got, before, world, w)
		}
		w.failAt = 0
		if err := m.Change(ctx, "web", readdressing(more, before[:1])...); err != nil {
			t.Error(err)
		}
		if got := claimed(t, m, "web"); len(got) != 2 || got[0] != more[0] || w.String() == world {
			t.Errorf("it has %v\n%s", got, w)
		}
		if err := m.Destroy(ctx, "web", DestroyOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
}

func mustPlan(t *testing.T, m *Manager) network.Plan {
	t.Helper()
	v, err := m.store.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	plans, err := m.networkTables().Plans(v)
	if err != nil {
		t.Fatal(err)
	}
	return plans[0]
}

func TestChangeAddressesRefuses(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	for _, name := range []string{"web", "db"} {
		if _, err := m.Create(ctx, vps.Name(name), CreateOptions{Template: "busybox"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Create(ctx, "alone", CreateOptions{Template: "busybox", Networks: onNetworks(NoNetwork)}); err != nil {
		t.Fatal(err)
	}
	before := claimed(t, m, "web")
	new9 := freeAddress(t, m, 9)
	for what, c := range map[string]struct {
		name     string
		add, del []netip.Addr
		want     fail.Kind
	}{
		"another's":        {"web", append(claimed(t, m, "db")[:1:1], new9), nil, fail.Taken},
		"what it has not":  {"web", []netip.Addr{new9}, []netip.Addr{freeAddress(t, m, 8)}, fail.NotFound},
		"of no network":    {"web", []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil, fail.Usage},
		"without network":  {"alone", []netip.Addr{new9}, nil, fail.State},
		"that is not here": {"nobody", []netip.Addr{new9}, nil, fail.NotFound},
	} {
		if err := m.Change(ctx, vps.Name(c.name), readdressing(c.add, c.del)...); !fail.Is(err, c.want) {
			t.Errorf("an address %s: %v", what, err)
		}
	}
	if got := claimed(t, m, "web"); !slices.Equal(got, before) {
		t.Errorf("it had %v and has %v", before, got)
	}
}

// An address for an interface goes to that one at create and later, or is refused by its
// network.
func TestAddressOfAnInterface(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.CreateNetwork(ctx, NetworkSettings{Name: "dmz", IPv4: netip.MustParsePrefix("192.0.2.0/24"), NoIPv6: true}); err != nil {
		t.Fatal(err)
	}
	at := func(iface, a string) vps.AddAddress {
		return vps.AddAddress{Interface: iface, Address: netip.MustParseAddr(a)}
	}
	o := CreateOptions{Template: "busybox", Networks: onNetworks(DefaultNetwork, "dmz")}
	for _, bad := range []struct {
		address vps.AddAddress
		kind    fail.Kind
	}{{at("eth0", "192.0.2.7"), fail.Usage}, {at("eth2", "192.0.2.7"), fail.NotFound}} {
		o.Addresses = []vps.AddAddress{bad.address}
		if _, err := m.Create(ctx, "web", o); !fail.Is(err, bad.kind) {
			t.Errorf("create, %s: %v", bad.address, err)
		}
	}
	o.Addresses = []vps.AddAddress{at("eth1", "192.0.2.7"), at("", "192.0.2.8")}
	if _, err := m.Create(ctx, "web", o); err != nil {
		t.Fatal(err)
	}
	if err := m.Change(ctx, "web", at("eth0", "192.0.2.9")); !fail.Is(err, fail.Usage) {
		t.Errorf("an address of another network: %v", err)
	}
	if err := m.Change(ctx, "web", at("eth1", "192.0.2.9"), vps.RemoveAddress{Interface: "eth1", Address: netip.MustParseAddr("192.0.2.8")}); err != nil {
		t.Fatal(err)
	}
	v, err := m.Settings(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(v.Interfaces[1].Addresses, netip.Addr.Compare)
	if got := fmt.Sprint(v.Interfaces[1].Addresses); got != "[192.0.2.7 192.0.2.9]" || len(v.Interfaces[0].Addresses) != 2 {
		t.Errorf("eth1 has %s, eth0 %v", got, v.Interfaces[0].Addresses)
	}
}
