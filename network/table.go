package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/internal/vps"
)

// Schema is the number that Changes writes. Decode upgrades older ones and
// refuses newer ones. 2 came with the modes routed, macvlan and physical and
// with private networks, which an older croft must not take for open ones; all
// of a table of 1 means the same in 2. Up to 2 the claims were in the same file
// as the settings; since 3 they have a file of their own.
const Schema = 3

// ownClaims is the first schema whose claims are in a file of their own.
const ownClaims = 3

// A Table is one network and who owns which address and MAC in it. It is a
// value: nothing here touches the machine. Fields that this croft does not know
// survive Decode and Changes.
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
	NoNames  bool         `json:"noNames,omitempty"` // its VPSs are not told each other's names
	Claims   []Claim      `json:"claims,omitempty"`

	extra map[string]json.RawMessage
	kept  *kept // content of the files; nil: there are no files yet
}

// Files are the contents of a network's files.
type Files struct {
	Settings []byte // networks/NAME.json: the Table without its claims
	Claims   []byte // networks/NAME.claims: see claims.go. Unused up to schema 2
}

// Mention reports whether a claim of owner may be in the files: if not, Decode
// need not read them.
func (f Files) Mention(owner vps.Name) bool {
	return bytes.Contains(f.Settings, []byte(`"`+owner+`"`)) || bytes.Contains(f.Claims, []byte(lineClaim+owner+" "))
}

// Changes are the changes to the files of a network; a nil field means no
// change. Write Claims before Settings, because Settings make the network
// exist.
type Changes struct {
	Settings []byte // is the new content
	Claims   []byte // is the new content
	Append   []byte // comes at the end of the claims
}

// A Claim is one interface of a VPS with its addresses and names.
type Claim struct {
	Owner     vps.Name     `json:"owner"`     // the VPS's name
	Interface string       `json:"interface"` // inside: eth0
	MAC       string       `json:"mac,omitempty"`
	Addresses []netip.Addr `json:"addresses"`
	HostLink  string       `json:"hostLink,omitempty"` // the host's end of the pair
	// Connections is how many connections the interface may have in the host's
	// table at once; 0 is the default, UnlimitedConnections no bound.
	Connections int64 `json:"connections,omitempty"`

	extra map[string]json.RawMessage
}

// Decode reads what Changes wrote. What it returns is consistent: names fit
// the kernel, addresses lie in their prefix and have one owner each. A table
// that is not so, or of a newer schema, is refused with fail.State.
func Decode(f Files) (Table, error) { return decode(f, nil) }

// DecodeOf is Decode for those who want to know what owners have, at least one: the
// table has no other claims, and those are not looked at. It takes little time
// however many there are. Claims can be released in such a table if Appendable says
// so, and nothing else can be changed: then Changes is fail.Internal.
func DecodeOf(f Files, owners ...vps.Name) (Table, error) { return decode(f, owners) }

func decode(f Files, owners []vps.Name) (Table, error) {
	t, ok := onlyKnown(f.Settings)
	if !ok {
		t = Table{}
		if err := json.Unmarshal(f.Settings, &t); err != nil {
			return Table{}, fail.New(fail.State, "read network: %w", err)
		}
	}
	if t.Schema > Schema {
		return Table{}, fail.New(fail.State, "network %q was written by a newer croft (schema %d, this one knows %d)", t.Name, t.Schema, Schema)
	}
	if err := t.take(f, owners); err != nil {
		return Table{}, fail.New(fail.State, "network %q: %w", t.Name, err)
	}
	if err := t.check(); err != nil {
		return Table{}, fail.New(fail.State, "network %q: %w", t.Name, err)
	}
	return t, nil
}

// take sets the claims of t, whose settings are already decoded, and stores the
// content of the files for Changes.
func (t *Table) take(f Files, owners []vps.Name) error {
	k := kept{claims: t.Claims, anew: true, some: len(owners) > 0}
	if k.some {
		k.claims = slices.DeleteFunc(k.claims, func(c Claim) bool { return !slices.Contains(owners, c.Owner) })
	}
	if t.Schema >= ownClaims {
		var err error
		if k, err = decodeClaims(f.Claims, owners); err != nil {
			return err
		}
		if k.settings, err = t.settings(); err != nil {
			return err
		}
	}
	t.kept = &k
	t.Claims = slices.Clone(k.claims)
	return nil
}

// settings returns the table as JSON without its claims, with a newline at the
// end.
func (t Table) settings() ([]byte, error) {
	t.Schema, t.Claims = Schema, nil
	data, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write network %q: %w", t.Name, err)
	}
	return append(data, '\n'), nil
}

// Appendable reports whether Changes can append to the claims file. If not, the
// next change rewrites all claims.
func (t Table) Appendable() bool { return t.kept != nil && !t.kept.anew }

// Changes returns the changes that bring the files from which t was read up to
// date: none if they match already, everything if there are no files.
func (t Table) Changes() (c Changes, err error) {
	before := t.kept
	if before == nil {
		before = &kept{anew: true}
	}
	settings, err := t.settings()
	if err != nil {
		return Changes{}, err
	}
	lines, n, err := difference(before.claims, t.Claims)
	if err != nil {
		return Changes{}, err
	}
	if !bytes.Equal(settings, before.settings) {
		c.Settings = settings
	}
	if len(lines) == 0 && (c.Settings == nil || !before.anew) {
		return c, nil
	}
	if before.some {
		if before.anew || bytes.HasPrefix(lines, []byte(lineClaim)) || bytes.Contains(lines, []byte("\n"+lineClaim)) {
			return Changes{}, fail.New(fail.Internal, "write network %q: only some of its claims have been read", t.Name)
		}
		c.Append = group(lines)
		return c, nil
	}
	if before.anew || before.lines+n > 2*len(t.Claims)+manyLines {
		c.Claims, err = wholeJournal(t.Claims)
		return c, err
	}
	c.Append = group(lines)
	return c, nil
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

// Prefixes are the prefixes that the network's addresses come from, IPv4 first.
func (t Table) Prefixes() []netip.Prefix {
	return slices.DeleteFunc([]netip.Prefix{t.IPv4, t.IPv6}, func(p netip.Prefix) bool { return !p.IsValid() })
}

// Owner says which VPS has addr.
func (t Table) Owner(addr netip.Addr) (vps.Name, bool) {
	addr = addr.Unmap()
	for _, c := range t.Claims {
		if slices.Contains(c.Addresses, addr) {
			return c.Owner, true
		}
	}
	return "", false
}

// Of returns the claims of owner, in the order in which they were made.
func (t Table) Of(owner vps.Name) []Claim {
	var out []Claim
	for _, c := range t.Claims {
		if c.Owner == owner {
			out = append(out, c)
		}
	}
	return out
}

// checkClaims refuses a claim that makes no sense, and a MAC, a host link or an
// address that is in two of them.
func (t Table) checkClaims() error {
	n := len(t.Claims)
	links, macs, addrs := make(map[string]bool, n), make(map[string]bool, n), make(map[netip.Addr]bool, 2*n)
	for _, c := range t.Claims {
		if err := t.checkClaim(c); err != nil {
			return err
		}
		if macs[c.MAC] {
			return fmt.Errorf("the MAC %s of %s has another owner", c.MAC, c.Owner)
		}
		if links[c.HostLink] {
			return fmt.Errorf("the host link %s of %s has another owner", c.HostLink, c.Owner)
		}
		for _, a := range c.Addresses {
			if addrs[a] {
				return fmt.Errorf("address %s belongs to both %s", a, t.ownersOf(a))
			}
			addrs[a] = true
		}
		if c.MAC != "" {
			macs[c.MAC] = true
		}
		if c.HostLink != "" {
			links[c.HostLink] = true
		}
	}
	return nil
}

// checkClaim refuses a claim that makes no sense in t, whatever the others are.
func (t Table) checkClaim(c Claim) error {
	if _, err := vps.ParseName(string(c.Owner)); err != nil || vps.CheckLinkName(c.Interface) != nil {
		return fmt.Errorf("invalid claim of %q for interface %q", c.Owner, c.Interface)
	}
	switch hasMAC := t.Mode != ModeNone && t.Mode != ModePhysical; {
	case !hasMAC && c.MAC != "":
		return fmt.Errorf("%s has a MAC in mode %s", c.Owner, t.Mode)
	case hasMAC && (!isMACText(c.MAC) || c.MAC == t.MAC):
		return fmt.Errorf("the MAC %q of %s is not usable", c.MAC, c.Owner)
	case !t.HasPorts() && c.HostLink != "":
		return fmt.Errorf("%s has a host link in mode %s", c.Owner, t.Mode)
	case t.HasPorts() && checkHostLink(c.HostLink) != nil:
		return fmt.Errorf("the host link %q of %s is not usable", c.HostLink, c.Owner)
	case t.Mode == ModeNone && len(c.Addresses) > 0:
		return fmt.Errorf("%s has addresses in mode %s", c.Owner, t.Mode)
	}
	if err := vps.CheckConnections(c.Connections); err != nil {
		return fmt.Errorf("%s: %w", c.Owner, err)
	}
	for _, a := range c.Addresses {
		if why := t.unusable(a); why != "" {
			return fmt.Errorf("address %s of %s %s", a, c.Owner, why)
		}
	}
	return nil
}

func (t Table) ownersOf(a netip.Addr) string {
	var owners []string
	for _, c := range t.Claims {
		if slices.Contains(c.Addresses, a) {
			owners = append(owners, string(c.Owner))
		}
	}
	return strings.Join(owners, " and ")
}

// isMACText reports whether s is a MAC of one interface, as net.HardwareAddr writes it.
func isMACText(s string) bool {
	if len(s) != len("c2:00:00:00:00:01") {
		return false
	}
	for i := range len(s) {
		digit := s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f'
		if i%3 == 2 && s[i] != ':' || i%3 != 2 && !digit {
			return false
		}
	}
	return strings.IndexByte("13579bdf", s[1]) < 0 // not of a group
}

// ParseMAC parses the MAC of one interface.
func ParseMAC(s string) (net.HardwareAddr, error) {
	if !isMACText(s) {
		return nil, fmt.Errorf("invalid MAC %q", s)
	}
	return net.ParseMAC(s)
}
