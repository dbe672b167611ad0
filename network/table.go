package network

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"croft/internal/fail"
)

// Schema is the number that Encode writes. Decode upgrades older ones and
// refuses newer ones.
const Schema = 1

// A Mode is what kind of network this is.
type Mode = string

// The modes of a network.
const (
	ModeBridge Mode = "bridge" // eth0 on a bridge of ours, everything routed by the host
	ModeNone   Mode = "none"   // nothing but lo
)

// A Table is one network and who owns which address and MAC in it: the
// content of networks/NAME.json. It is a value: nothing here touches the
// machine. Fields that this croft does not know survive Decode and Encode.
type Table struct {
	Schema int          `json:"schema"`
	Name   string       `json:"name"`
	Mode   Mode         `json:"mode"`
	Bridge string       `json:"bridge,omitempty"`
	MAC    string       `json:"mac,omitempty"` // of the bridge: the gateway's
	IPv4   netip.Prefix `json:"ipv4,omitzero"` // zero: the network has no IPv4
	IPv6   netip.Prefix `json:"ipv6,omitzero"` // zero: the network has no IPv6
	MTU    int          `json:"mtu,omitempty"` // 0 is the kernel's own, 1500
	NAT    bool         `json:"nat,omitempty"` // what leaves takes the host's address, and nothing unasked comes in
	Claims []Claim      `json:"claims"`

	extra map[string]json.RawMessage
}

// A Claim is one interface of a VPS and what it owns.
type Claim struct {
	Owner     string       `json:"owner"`     // the VPS's name
	Interface string       `json:"interface"` // inside: eth0
	MAC       string       `json:"mac,omitempty"`
	Addresses []netip.Addr `json:"addresses"`
	HostLink  string       `json:"hostLink,omitempty"` // the host's end of the pair

	extra map[string]json.RawMessage
}

// Decode reads what Encode wrote. What it returns is consistent: names fit
// the kernel, addresses lie in their prefix and have one owner each. A table
// that is not so, or of a newer schema, is refused with fail.State.
func Decode(data []byte) (Table, error) {
	var t Table
	if err := json.Unmarshal(data, &t); err != nil {
		return Table{}, fail.New(fail.State, "read network: %w", err)
	}
	if t.Schema > Schema {
		return Table{}, fail.New(fail.State, "network %q was written by a newer croft (schema %d, this one knows %d)", t.Name, t.Schema, Schema)
	}
	if err := t.check(); err != nil {
		return Table{}, fail.New(fail.State, "network %q: %w", t.Name, err)
	}
	return t, nil
}

// Encode returns the table as indented JSON with a newline at its end.
func (t Table) Encode() ([]byte, error) {
	t.Schema = Schema
	data, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write network %q: %w", t.Name, err)
	}
	return append(data, '\n'), nil
}

// Gateway4 is the host's own IPv4 address in the network, its first one. It
// is the zero Addr if the network has no IPv4.
func (t Table) Gateway4() netip.Addr { return firstHost(t.IPv4) }

// Gateway6 is Gateway4 for IPv6.
func (t Table) Gateway6() netip.Addr { return firstHost(t.IPv6) }

func firstHost(p netip.Prefix) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	return p.Masked().Addr().Next()
}

// prefixOf returns the network's prefix of a's family.
func (t Table) prefixOf(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return t.IPv4
	}
	return t.IPv6
}

// Owner says which VPS has addr.
func (t Table) Owner(addr netip.Addr) (string, bool) {
	addr = addr.Unmap()
	for _, c := range t.Claims {
		if slices.Contains(c.Addresses, addr) {
			return c.Owner, true
		}
	}
	return "", false
}

// Of returns the claims of owner, in the order in which they were made.
func (t Table) Of(owner string) []Claim {
	var out []Claim
	for _, c := range t.Claims {
		if c.Owner == owner {
			out = append(out, c)
		}
	}
	return out
}

func (t Table) check() error {
	if t.Schema < 1 {
		return fmt.Errorf("schema %d is none", t.Schema)
	}
	if t.Name == "" {
		return fmt.Errorf("it has no name")
	}
	switch t.Mode {
	case ModeNone:
		return t.checkClaims()
	case ModeBridge:
	default:
		return fmt.Errorf("mode %q is not known here", t.Mode)
	}
	if err := checkLinkName(t.Bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if _, err := parseMAC(t.MAC); err != nil {
		return err
	}
	if err := checkPrefix(t.IPv4, true); err != nil {
		return err
	}
	if err := checkPrefix(t.IPv6, false); err != nil {
		return err
	}
	if t.MTU < 0 || t.MTU > 65535 {
		return fmt.Errorf("mtu %d is out of range", t.MTU)
	}
	return t.checkClaims()
}

// checkPrefix wants a masked prefix with room for a gateway and one VPS.
func checkPrefix(p netip.Prefix, four bool) error {
	if p == (netip.Prefix{}) {
		return nil
	}
	if !p.IsValid() || p.Addr().Is4() != four || p.Masked() != p {
		return fmt.Errorf("prefix %s makes no sense", p)
	}
	if p.Addr().BitLen()-p.Bits() < 2 {
		return fmt.Errorf("prefix %s is too small", p)
	}
	return nil
}

func (t Table) checkClaims() error {
	links, macs, addrs := map[string]bool{}, map[string]bool{}, map[netip.Addr]string{}
	for _, c := range t.Claims {
		if c.Owner == "" || checkLinkName(c.Interface) != nil {
			return fmt.Errorf("a claim of %q for interface %q makes no sense", c.Owner, c.Interface)
		}
		if t.Mode == ModeNone {
			continue
		}
		if _, err := parseMAC(c.MAC); err != nil || macs[c.MAC] || c.MAC == t.MAC {
			return fmt.Errorf("the MAC %q of %s is not usable", c.MAC, c.Owner)
		}
		if err := checkHostLink(c.HostLink); err != nil || links[c.HostLink] {
			return fmt.Errorf("the host link %q of %s is not usable", c.HostLink, c.Owner)
		}
		links[c.HostLink], macs[c.MAC] = true, true
		for _, a := range c.Addresses {
			if who, taken := addrs[a]; taken {
				return fmt.Errorf("address %s belongs to both %s and %s", a, who, c.Owner)
			}
			if why := t.unusable(a); why != "" {
				return fmt.Errorf("address %s of %s %s", a, c.Owner, why)
			}
			addrs[a] = c.Owner
		}
	}
	return nil
}

// unusable says why no VPS of this network can have a, "" if one can.
func (t Table) unusable(a netip.Addr) string {
	p := t.prefixOf(a)
	switch {
	case !a.IsValid() || a.Zone() != "" || a.Is4In6():
		return "is no address"
	case !p.IsValid():
		return "is of a family that the network does not have"
	case !p.Contains(a):
		return fmt.Sprintf("is not in %s", p)
	case a == p.Addr():
		return "is the network's own"
	case a == firstHost(p):
		return "is the gateway's"
	case a.Is4() && !p.Contains(a.Next()):
		return "is the broadcast address"
	}
	return ""
}

func parseMAC(s string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 || mac.String() != s {
		return nil, fmt.Errorf("MAC %q makes no sense", s)
	}
	return mac, nil
}
