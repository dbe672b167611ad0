package names

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/internal/vps"
	"croft/network"
	"croft/network/guest"
)

func TestHostsFor(t *testing.T) {
	ip := netip.MustParseAddr
	tables := map[string]network.Table{
		"lan": {Claims: []network.Claim{
			{Owner: "web", Interface: "eth0", Addresses: []netip.Addr{ip("10.0.0.3"), ip("fd00::3")}},
			{Owner: "db", Interface: "eth0", Addresses: []netip.Addr{ip("10.0.0.2")}},
		}},
		"dmz": {Claims: []network.Claim{
			{Owner: "web", Interface: "eth1", Addresses: []netip.Addr{ip("10.1.0.3")}},
			{Owner: "mail", Interface: "eth0", Addresses: []netip.Addr{ip("10.1.0.2")}},
			{Owner: "bare", Interface: "eth0"},
		}},
		"quiet": {NoNames: true, Claims: []network.Claim{
			{Owner: "hidden", Interface: "eth0", Addresses: []netip.Addr{ip("10.3.0.2")}},
			{Owner: "other", Interface: "eth0", Addresses: []netip.Addr{ip("10.3.0.3")}},
		}},
		"own": {Private: true, Claims: []network.Claim{
			{Owner: "web", Interface: "eth2", Addresses: []netip.Addr{ip("10.2.0.3")}},
			{Owner: "stranger", Interface: "eth0", Addresses: []netip.Addr{ip("10.2.0.2")}},
		}},
	}
	in := func(name string, networks ...string) vps.VPS {
		v := vps.VPS{Name: vps.Name(name)}
		for _, n := range networks {
			v.Interfaces = append(v.Interfaces, vps.Interface{Network: n})
		}
		return v
	}
	web := guest.Host{Name: "web", Addresses: []netip.Addr{ip("10.0.0.3"), ip("fd00::3"), ip("10.1.0.3"), ip("10.2.0.3")}}
	db := guest.Host{Name: "db", Addresses: []netip.Addr{ip("10.0.0.2")}}
	mail := guest.Host{Name: "mail", Addresses: []netip.Addr{ip("10.1.0.2")}}
	for _, test := range []struct {
		v    vps.VPS
		want []guest.Host
	}{
		{in("web", "lan", "dmz", "own"), []guest.Host{db, mail, web}},
		{in("db", "lan"), []guest.Host{db, {Name: "web", Addresses: web.Addresses[:2]}}},
		{in("mail", "dmz", "dmz"), []guest.Host{mail, {Name: "web", Addresses: web.Addresses[2:3]}}},
		{in("stranger", "own"), []guest.Host{{Name: "stranger", Addresses: []netip.Addr{ip("10.2.0.2")}}}},
		{in("hidden", "quiet"), []guest.Host{{Name: "hidden", Addresses: []netip.Addr{ip("10.3.0.2")}}}},
		{in("alone"), nil},
	} {
		if diff := cmp.Diff(test.want, HostsFor(test.v, tables), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", test.v.Name, diff)
		}
	}
}
