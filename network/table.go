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
// refuses newer ones. 2 came with the modes routed, macvlan and physical and
// with private networks, which an older croft must not take for open ones; all
// of a table of 1 means the same in 2.
const Schema = 2

// A Table is one network and who owns which address and MAC in it: the
// content of networks/NAME.json. It is a value: nothing here touches the
// machine. Fields that this croft does not know survive Decode and Encode.
type Table struct {
	Schema int    `json:"schema"`
	Name   string `json:"name"`
	Mode   Mode   `json:"mode"`
	Bridge string `json:"bridge,omitempty"`
	// Foreign: the bridge is the administrator's, who makes, configures and removes it.
	Foreign bool         `json:"foreign,omitempty"`
	Parent  string       `json:"parent,omitempty"` // routed: the uplink that answers for it; macvlan, physical: the host's link
	MAC     string       `json:"mac,omitempty"`    // of the gateway, where that is the host; what the MACs of VPSs are made up from
	IPv4    netip.Prefix `json:"ipv4,omitzero"`    // zero: the network has no IPv4
	IPv6    netip.Prefix `json:"ipv6,omitzero"`    // zero: the network has no IPv6
	// Gateways are the routers of a LAN, at most one of each family. Where the
	// host is the router they follow from the prefixes.
	Gateways []netip.Addr `json:"gateways,omitempty"`
	MTU      int          `json:"mtu,omitempty"`     // 0 is the kernel's own, 1500
	NAT      bool         `json:"nat,omitempty"`     // what leaves takes the host's address, and nothing unasked comes in
	Private  bool         `json:"private,omitempty"` // its VPSs do not reach each other
	Segment  bool         `json:"segment,omitempty"` // its VPSs share broadcast and multicast
	Claims   []Claim      `json:"claims"`

	extra map[string]json.RawMessage
}

// A Claim is one interface of a VPS and what it owns.
type Claim struct {
	Owner     string       `json:"owner"`     // the VPS's name
	Interface string       `json:"interface"` // inside: eth0
	MAC       string       `json:"mac,omitempty"`
	Addresses []netip.Addr `json:"addresses"`
	HostLink  string       `json:"hostLink,omitempty"` // the host's end of the pair
	// Connections is how many connections the interface may have in the host's
	// table at once; 0 is the default, UnlimitedConnections no bound.
	Connections int64 `json:"connections,omitempty"`

	extra map[string]json.RawMessage
}

// Decode reads what Encode wrote. What it returns is consistent: names fit
// the kernel, addresses lie in their prefix and have one owner each. A table
// that is not so, or of a newer schema, is refused with fail.State.
func Decode(data []byte) (Table, error) {
	t, ok := onlyKnown(data)
	if !ok {
		t = Table{}
		if err := json.Unmarshal(data, &t); err != nil {
			return Table{}, fail.New(fail.State, "read network: %w", err)
		}
	}
	if t.Schema > Schema {
		return Table{}, fail.New(fail.State, "network %q was written by a newer croft (schema %d, this one knows %d)", t.Name, t.Schema, Schema)
	}
	if err := t.check(); err != nil {
		return Table{}, fail.New(fail.State, "network %q: %w", t.Name, err)
	}
	return t, nil
}

// manyClaims is how many claims a table may have for people to read its file:
// one with more is written without blanks, which takes half the time.
const manyClaims = 256

// Encode returns the table as JSON with a newline at its end, indented if it
// has few claims.
func (t Table) Encode() ([]byte, error) {
	t.Schema = Schema
	encode := func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }
	if len(t.Claims) > manyClaims {
		encode = json.Marshal
	}
	var what any = t
	if p, ok := t.plain(); ok {
		what = p // its methods would have it encoded twice
	}
	data, err := encode(what)
	if err != nil {
		return nil, fmt.Errorf("write network %q: %w", t.Name, err)
	}
	return append(data, '\n'), nil
}

// prefixOf returns the network's prefix of a's family.
func (t Table) prefixOf(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return t.IPv4
	}
	return t.IPv6
}

// Has reports whether a is of one of the network's prefixes.
func (t Table) Has(a netip.Addr) bool {
	a = a.Unmap()
	return t.prefixOf(a).IsValid() && t.prefixOf(a).Contains(a)
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

func (t Table) checkClaims() error {
	links, macs, addrs := map[string]bool{}, map[string]bool{}, map[netip.Addr]string{}
	for _, c := range t.Claims {
		if c.Owner == "" || checkLinkName(c.Interface) != nil {
			return fmt.Errorf("a claim of %q for interface %q makes no sense", c.Owner, c.Interface)
		}
		if t.Mode == ModeNone {
			continue
		}
		if t.Mode != ModePhysical {
			if _, err := parseMAC(c.MAC); err != nil || macs[c.MAC] || c.MAC == t.MAC {
				return fmt.Errorf("the MAC %q of %s is not usable", c.MAC, c.Owner)
			}
			macs[c.MAC] = true
		}
		if t.hasPorts() {
			if err := checkHostLink(c.HostLink); err != nil || links[c.HostLink] {
				return fmt.Errorf("the host link %q of %s is not usable", c.HostLink, c.Owner)
			}
			links[c.HostLink] = true
		}
		if err := CheckConnections(c.Connections); err != nil {
			return fmt.Errorf("%s: %w", c.Owner, err)
		}
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

func parseMAC(s string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 || mac.String() != s {
		return nil, fmt.Errorf("MAC %q makes no sense", s)
	}
	return mac, nil
}
