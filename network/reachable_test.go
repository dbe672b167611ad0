package network

import (
	"net/netip"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

func TestRoutesThatCannotWorkAreRefused(t *testing.T) {
	bridge := Plan{Interface: "eth0", Mode: ModeBridge,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.90.0.2/16"), netip.MustParsePrefix("fd00::2/64")},
		Gateways:  []netip.Addr{netip.MustParseAddr("10.90.0.1"), netip.MustParseAddr("fd00::1")}}
	routed := Plan{Interface: "eth1", Mode: ModeRouted, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")},
		Gateways: []netip.Addr{routedGateway4()}}
	dhcp := Plan{Interface: "eth2", Mode: ModeMACVLAN}
	both, all := []Plan{bridge, routed}, []Plan{bridge, routed, dhcp}
	for _, c := range []struct {
		on    []Plan
		route vps.Route
		why   string // "" is accepted
	}{
		{both, vps.Route{Destination: "1.2.3.0/24", Via: "9.9.9.9"}, "next hop 9.9.9.9 is on no network"},
		{both, vps.Route{Destination: "1.2.3.0/24", Via: "10.90.7.7"}, ""},
		{both, vps.Route{Destination: "1.2.3.0/24", Via: "10.90.0.2"}, "next hop 10.90.0.2"},
		{both, vps.Route{Destination: "1.2.3.0/24", Via: "10.90.7.7", Dev: "eth1"}, "next hop"},
		{both, vps.Route{Destination: "1.2.3.0/24", Via: "192.0.2.1"}, "next hop"},
		{both, vps.Route{Destination: "1.2.3.0/24", Via: "169.254.0.1", Dev: "eth1"}, ""},
		{both, vps.Route{Destination: "1.2.3.0/24"}, ""},
		{[]Plan{dhcp}, vps.Route{Destination: "1.2.3.0/24"}, "no gateway"},
		{both, vps.Route{Destination: "1.2.3.0/24", Dev: "eth7"}, "no interface eth7"},
		{both, vps.Route{Destination: "1.2.3.0/24", Dev: "lo"}, ""},
		{both, vps.Route{Destination: "1.2.3.0/24", Src: "10.90.0.3"}, "source 10.90.0.3"},
		{both, vps.Route{Destination: "1.2.3.0/24", Src: "192.0.2.9"}, ""},
		{both, vps.Route{Destination: "2001:db8::/32", Via: "fe80::7", Dev: "eth0"}, ""},
		{both, vps.Route{Destination: "2001:db8::/32", Via: "fe80::7", Dev: "eth1"}, "next hop"},
		{all, vps.Route{Destination: "1.2.3.0/24", Via: "9.9.9.9"}, ""}, // the guest may have such a network
		{all, vps.Route{Destination: "1.2.3.0/24", Via: "9.9.9.9", Dev: "eth0"}, "next hop"},
	} {
		err := CheckRoutes(vps.Routing{Routes: []vps.Route{c.route}}, c.on)
		if c.why == "" && err != nil || c.why != "" && (!fail.Is(err, fail.State) || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s: %v, not %q", c.route, err, c.why)
		}
	}
	link := vps.Routing{Routes: []vps.Route{{Destination: "9.9.9.0/24", Dev: "eth0"}, {Destination: "1.2.3.0/24", Via: "9.9.9.9"}}}
	if err := CheckRoutes(link, both); err != nil {
		t.Errorf("a next hop that a route puts on a link: %v", err)
	}
}

func TestPublishedAddressesAreTheHosts(t *testing.T) {
	host := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	routed := []Table{
		{Mode: ModeRouted, IPv4: netip.MustParsePrefix("198.51.100.0/28"), Claims: []Claim{{Owner: "web", Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.3")}}}},
		{Mode: ModeBridge, IPv4: netip.MustParsePrefix("10.90.0.0/16")},
	}
	for address, want := range map[string]bool{
		"": true, "0.0.0.0": true, "::": true, "127.0.0.1": true, "::1": true, "192.0.2.1": true, "2001:db8::1": true,
		"8.8.8.8": false, "10.90.0.3": false, "198.51.100.3": false, "198.51.100.4": true, "2001:db8::2": false,
	} {
		if got := CanPublish(vps.Publication{Protocol: "tcp", Host: address, Ports: "80", To: "80"}, host, routed); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}
