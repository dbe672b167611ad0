package host

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"croft/integration/attack"
	"croft/network"
)

func TestNeighbourhoodFrames(t *testing.T) {
	mac := net.HardwareAddr{0xc2, 1, 2, 3, 4, 5}
	four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7:8")
	allNodes := netip.MustParseAddr("ff02::1")
	option := attack.Bytes(2, 1, mac)
	want := attack.Ether(attack.GroupMAC, mac, 0x86dd, attack.IPv6(six, allNodes, 58, attack.ICMP6(six, allNodes, 136, 0x20, 0, 0, 0, six, option)))
	if got := announcement(six, mac); !bytes.Equal(got, want) {
		t.Errorf("announced is\n% x, want\n% x", got, want)
	}
	group := netip.MustParseAddr("ff02::1:ff07:8")
	want = attack.Ether(net.HardwareAddr{0x33, 0x33, 0xff, 7, 0, 8}, mac, 0x86dd,
		attack.IPv6(netip.IPv6Unspecified(), group, 58, attack.ICMP6(netip.IPv6Unspecified(), group, 135, 0, 0, 0, 0, six)))
	if got := probe(six, mac); !bytes.Equal(got, want) {
		t.Errorf("asked is\n% x, want\n% x", got, want)
	}
	for _, a := range []netip.Addr{four, six} {
		if who, at := claimed(announcement(a, mac)); who != a || !bytes.Equal(at, mac) {
			t.Errorf("%s: it is heard as %s at %s", a, who, at)
		}
		if who, _ := claimed(probe(a, mac)); who == a {
			t.Errorf("%s: who asks for it is taken for who has it", a)
		}
	}
	for _, bad := range [][]byte{nil, make([]byte, 13), make([]byte, 60), announcement(six, mac)[:70]} {
		if who, _ := claimed(bad); who.IsValid() && !who.IsUnspecified() {
			t.Errorf("% x says %s", bad, who)
		}
	}
}

func FuzzClaimed(f *testing.F) {
	mac := net.HardwareAddr{0xc2, 1, 2, 3, 4, 5}
	f.Add(announcement(netip.MustParseAddr("192.0.2.7"), mac))
	f.Add(announcement(netip.MustParseAddr("2001:db8::7"), mac))
	f.Fuzz(func(t *testing.T, frame []byte) { claimed(frame) })
}

// Whoever has an address on the LAN is found, and nobody else.
func TestAnswering(t *testing.T) {
	h := newHost(t)
	l := newLAN(t, false)
	free4, free6 := netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8:9::77")
	found, err := h.Answering(t.Context(), l.link, []netip.Addr{free4, l.four, free6, l.six})
	if err != nil || len(found) != 2 || found[l.four] == "" || found[l.six] != found[l.four] {
		t.Errorf("found are %v, %v", found, err)
	}
	for _, link := range []string{"none9", "lo"} {
		if found, err := h.Answering(t.Context(), link, []netip.Addr{free4, l.four}); err != nil || len(found) != 0 {
			t.Errorf("at %s: %v, %v", link, found, err)
		}
	}
}

// Where others than VPSs know addresses, a start and a change announces them.
func TestAnnouncements(t *testing.T) {
	for name, test := range map[string]struct {
		bridged  bool
		settings network.Settings
	}{
		"foreign bridge": {true, network.Settings{Bridge: "br9"}},
		"routed":         {false, network.Settings{Mode: network.ModeRouted, Parent: "eth9"}},
		"macvlan":        {false, network.Settings{Mode: network.ModeMACVLAN, Parent: "eth9"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			l := newLAN(t, test.bridged)
			test.settings.IPv4, test.settings.IPv6 = l.four4, l.six6
			p := &pair{host: h}
			w := p.watcher(t, l.pid, "eth0")
			p = newPairIn(t, h, newTable(t, test.settings))
			heard := map[netip.Addr]bool{}
			for _, f := range w.frames(t) {
				if a, _ := claimed(f); a.IsValid() {
					heard[a] = true
				}
			}
			for i := range p.plans {
				for _, six := range []bool{false, true} {
					if a := p.addr(i, six); !heard[a] {
						t.Errorf("the LAN was not told of %s: %v", a, heard)
					}
				}
			}
		})
	}
}
