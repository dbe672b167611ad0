package host

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"croft/integration/attack"
	"croft/network"
)

// A lan is what the host is connected to: a machine on a link of the host's.
type lan struct {
	pid         int
	four, six   netip.Addr
	link        string // the host's
	host4       netip.Addr
	host6       netip.Addr
	four4, six6 netip.Prefix
}

// newLAN makes a machine that the host reaches by eth9, or by the bridge br9
// of the administrator's.
func newLAN(t *testing.T, bridged bool) lan {
	t.Helper()
	l := lan{pid: newVPS(t), link: "eth9",
		four: netip.MustParseAddr("192.0.2.254"), six: netip.MustParseAddr("2001:db8:9::fe"),
		host4: netip.MustParseAddr("192.0.2.1"), host6: netip.MustParseAddr("2001:db8:9::1"),
		four4: netip.MustParsePrefix("192.0.2.0/24"), six6: netip.MustParsePrefix("2001:db8:9::/64")}
	run(t, "ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(l.pid))
	if bridged {
		l.link = "br9"
		run(t, "ip", "link", "add", "br9", "type", "bridge")
		run(t, "ip", "link", "set", "eth9", "master", "br9", "up")
	}
	run(t, "ip", "link", "set", l.link, "up")
	run(t, "ip", "addr", "add", l.host4.String()+"/24", "dev", l.link)
	run(t, "ip", "addr", "add", l.host6.String()+"/64", "dev", l.link, "nodad")
	inVPS(t, l.pid, func() error {
		for _, words := range [][]string{
			{"link", "set", "lo", "up"}, {"link", "set", "eth0", "up"}, {"addr", "add", l.four.String() + "/24", "dev", "eth0"},
			{"addr", "add", l.six.String() + "/64", "dev", "eth0", "nodad"},
		} {
			if _, err := command("ip", words...); err != nil {
				return err
			}
		}
		return nil
	})
	return l
}

func newTable(t *testing.T, s network.Settings) network.Table {
	t.Helper()
	s.Name = "try"
	table, err := network.New(s, network.Seed{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// reaches says by ping whether VPS i reaches an address.
func (p *pair) reaches(t *testing.T, i int, want bool, to ...netip.Addr) {
	t.Helper()
	for _, a := range to {
		err := enter(p.pids[i], func() error {
			if want {
				return ping(a)
			}
			if reached(a) {
				return errors.New("it is reached")
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: to %s: want %t: %v", p.plans[i].Owner, a, want, err)
		}
	}
}

// In each mode VPSs reach what they should, and nothing else, and those with
// ports get no attack out.
func TestModes(t *testing.T) {
	lanSettings := func(l lan, s network.Settings) network.Settings {
		s.IPv4, s.IPv6 = l.four4, l.six6
		return s
	}
	for _, test := range []struct {
		name     string
		settings func(t *testing.T) (network.Settings, *lan)
		each     bool // they reach each other
		host     bool // and the host
	}{
		{"bridge", func(*testing.T) (network.Settings, *lan) { return network.Settings{}, nil }, true, true},
		{"bridge, private", func(*testing.T) (network.Settings, *lan) { return network.Settings{Private: true}, nil }, false, true},
		{"bridge, segment", func(*testing.T) (network.Settings, *lan) { return network.Settings{Segment: true}, nil }, true, true},
		{"foreign bridge", func(t *testing.T) (network.Settings, *lan) {
			l := newLAN(t, true)
			return lanSettings(l, network.Settings{Bridge: "br9", Gateways: []netip.Addr{l.four, l.six}}), &l
		}, false, true},
		{"routed", func(t *testing.T) (network.Settings, *lan) {
			l := newLAN(t, false)
			return lanSettings(l, network.Settings{Mode: network.ModeRouted, Parent: "eth9"}), &l
		}, true, true},
		{"routed, private", func(t *testing.T) (network.Settings, *lan) {
			l := newLAN(t, false)
			return lanSettings(l, network.Settings{Mode: network.ModeRouted, Parent: "eth9", Private: true}), &l
		}, false, true},
		{"macvlan", func(t *testing.T) (network.Settings, *lan) {
			l := newLAN(t, false)
			return lanSettings(l, network.Settings{Mode: network.ModeMACVLAN, Parent: "eth9", Gateways: []netip.Addr{l.four}}), &l
		}, true, false},
		{"macvlan, private", func(t *testing.T) (network.Settings, *lan) {
			l := newLAN(t, false)
			return lanSettings(l, network.Settings{Mode: network.ModeMACVLAN, Parent: "eth9", Private: true}), &l
		}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			s, l := test.settings(t)
			table := newTable(t, s)
			host := []netip.Addr{}
			if l != nil {
				host = append(host, l.host4, l.host6)
			}
			// The LAN has addresses at the low end.
			p := newPairIn(t, h, table)
			for i, other := range []int{1, 0} {
				p.reaches(t, i, test.each, p.addr(other, false), p.addr(other, true))
				if l != nil {
					p.reaches(t, i, true, l.four, l.six)
					p.reaches(t, i, test.host, host...)
				} else {
					p.reaches(t, i, test.host, table.Gateway4(), table.Gateway6())
				}
				if test.host {
					if err := errors.Join(ping(p.addr(i, false)), ping(p.addr(i, true))); err != nil {
						t.Error(err)
					}
				}
				if l != nil {
					inVPS(t, l.pid, func() error { return errors.Join(ping(p.addr(i, false)), ping(p.addr(i, true))) })
				}
			}
			if table.HasPorts() {
				p.tryAttacks(t, l)
			}
			p.hears(t, s.Segment || s.Mode == network.ModeMACVLAN && !s.Private)
			for _, plan := range p.plans {
				if err := h.Unplug(t.Context(), plan); err != nil {
					t.Error(err)
				}
			}
			if err := h.Remove(t.Context(), network.NewHostPlan(table)); err != nil {
				t.Error(err)
			}
		})
	}
}

// A network without prefixes gives an interface, and leaves it to the VPS what
// addresses it has there.
func TestMACVLANWithoutAddresses(t *testing.T) {
	h := newHost(t)
	l := newLAN(t, false)
	p := newPairIn(t, h, newTable(t, network.Settings{Mode: network.ModeMACVLAN, Parent: "eth9"}))
	inVPS(t, p.pids[0], func() error {
		if out, err := command("ip", "-4", "addr", "show", "dev", "eth0"); err != nil || strings.Contains(out, "inet") {
			return fmt.Errorf("it has addresses: %s, %v", out, err)
		}
		if _, err := command("ip", "addr", "add", "192.0.2.60/24", "dev", "eth0"); err != nil {
			return err
		}
		return ping(l.four)
	})
}

// hears: Bob hears what Alice sends to groups, or does not.
func (p *pair) hears(t *testing.T, want bool) {
	t.Helper()
	w := p.watcher(t, p.pids[1], "eth0")
	alice, a4, a6 := p.plans[0].MAC, p.addr(0, false), p.addr(0, true)
	group4, group6 := netip.MustParseAddr("224.0.0.251"), netip.MustParseAddr("ff02::fb")
	frames := [][]byte{
		attack.Ether(attack.BroadcastMAC, alice, 0x0800, attack.IPv4(a4, netip.MustParseAddr("255.255.255.255"), 17, attack.UDP(1, 9, attack.Magic))),
		attack.Ether(net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 0xfb}, alice, 0x0800, attack.IPv4(a4, group4, 17, attack.UDP(5353, 5353, attack.Magic))),
		attack.Ether(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 0xfb}, alice, 0x86dd, attack.IPv6(a6, group6, 17, attack.UDP6(a6, group6, 5353, 5353, attack.Magic))),
	}
	p.send(t, 0, frames...)
	heard := 0
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		for _, f := range w.frames(t) {
			if containsMagic(f) {
				heard++
			}
		}
		if heard == len(frames) || !want {
			break
		}
	}
	if want && heard != len(frames) || !want && heard > 0 {
		t.Errorf("Bob heard %d of %d frames to groups, want %t", heard, len(frames), want)
	}
}

// tryAttacks has Alice attack Bob and whoever is the gateway.
func (p *pair) tryAttacks(t *testing.T, l *lan) {
	t.Helper()
	gateway := attack.Party{MAC: attack.ForeignMAC, IPv4: p.table.Gateway4(), IPv6: p.table.Gateway6()}
	if !gateway.IPv6.IsValid() {
		gateway.IPv6 = l.six
	}
	if mac := network.NewHostPlan(p.table).MAC; p.table.HostRoutes() {
		gateway.MAC = mac
	}
	watchers := map[string]watcher{"Bob's eth0": p.watcher(t, p.pids[1], "eth0")}
	if l != nil {
		watchers["the LAN"] = p.watcher(t, l.pid, "eth0")
	}
	if p.table.Bridge != "" {
		watchers["the bridge"] = p.watcher(t, os.Getpid(), p.table.Bridge)
	}
	for _, at := range attack.By(p.party(0), p.party(1), gateway, netip.MustParseAddr("10.90.255.255")) {
		before := p.dropped(t, 0)[at.Reason]
		p.send(t, 0, at.Frames...)
		p.waitDropped(t, at, before+uint64(len(at.Frames)))
	}
	p.reaches(t, 0, true, p.table.Gateway4())
	p.reaches(t, 1, true, p.table.Gateway4())
	for where, w := range watchers {
		for _, f := range w.frames(t) {
			if containsMagic(f) {
				t.Errorf("seen at %s: % x", where, f)
			}
		}
	}
}

func containsMagic(frame []byte) bool { return bytes.Contains(frame, []byte(attack.Magic)) }
