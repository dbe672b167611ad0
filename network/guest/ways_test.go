package guest

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A VPS of a routed network, and one that has such an interface beside
// another: its gateway is on the link although no prefix says so.
func TestRouted(t *testing.T) {
	s := Settings{Hostname: "web", First: true, Interfaces: []Interface{
		{Name: "eth0", Addresses: []netip.Prefix{prefix("192.0.2.9/32"), prefix("2001:db8::9/128")},
			Gateways: []netip.Addr{addr("169.254.0.1"), addr("fe80::1")}},
		{Name: "eth1", Addresses: []netip.Prefix{prefix("198.51.100.9/32"), prefix("2001:db8:1::9/128")},
			Gateways: []netip.Addr{addr("169.254.0.1"), addr("fe80::1")}, Near: []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8:1::/64")}},
		{Name: "eth2", Addresses: []netip.Prefix{prefix("203.0.113.9/24")}},
	}}
	var b strings.Builder
	all := distributions()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		root := all[name]
		got, err := Files(root, s)
		if err != nil {
			t.Fatal(err)
		}
		apply(root, got)
		again := s
		again.First = false
		if more, err := Files(root, again); err != nil || len(more.Files)+len(more.Remove) > 0 {
			t.Errorf("%s: a second start would write\n%s, %v", name, more, err)
		}
		got.Files = slices.DeleteFunc(got.Files, func(f File) bool { return strings.HasPrefix(f.Path, "/etc/host") })
		b.WriteString("==== " + name + "\n" + got.String())
	}
	golden(t, "routed", b.String())
}
