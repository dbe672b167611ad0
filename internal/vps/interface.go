package vps

import (
	"fmt"
	"math"
	"net/netip"

	"croft/internal/fail"
)

// An Interface is a link inside the VPS and the network that it is plugged into.
type Interface struct {
	Name    string `json:"name"`          // inside: eth0
	Network string `json:"network"`       // networks/NAME.json
	MAC     string `json:"mac,omitempty"` // that was asked for; "" is one of the network's choice
	Rate    Rate   `json:"rate,omitzero"`

	// The rest is not in vps.json, because the table of the network owns it. It is
	// empty unless runtime has filled it in, for edits.
	Addresses   []netip.Addr   `json:"-"`
	Connections int64          `json:"-"` // see SetConnections
	Prefixes    []netip.Prefix `json:"-"` // the addresses of the network
	Tracked     bool           `json:"-"` // the host tracks its connections
}

// MaxLinkName is the length of the longest name of a link: IFNAMSIZ (linux/if.h)
// without its NUL.
const MaxLinkName = 15

// CheckLinkName returns an error for a name that the kernel's dev_valid_name
// rejects, and for one that would be a path below /proc/sys/net or an option of
// a command.
func CheckLinkName(name string) error {
	bad := fmt.Errorf("invalid interface %q (for example eth0)", name)
	if name == "" || len(name) > MaxLinkName || name[0] == '-' || name[0] == '.' {
		return bad
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		default:
			return bad
		}
	}
	return nil
}

// checkInterfaces checks each interface, and that no two have the same name or
// network.
func (v VPS) checkInterfaces() error {
	names, networks := map[string]bool{}, map[string]bool{}
	for _, i := range v.Interfaces {
		if err := CheckLinkName(i.Name); err != nil {
			return fail.New(fail.Usage, "%w", err)
		}
		if _, err := ParseName(i.Network); err != nil {
			return err
		}
		if i.MAC != "" {
			if err := CheckMAC(i.MAC); err != nil {
				return fail.New(fail.Usage, "%w", err)
			}
		}
		if networks[i.Network] {
			return fail.New(fail.Usage, "network %s is given twice", i.Network)
		}
		if names[i.Name] {
			return fail.New(fail.Usage, "interface %s is given twice", i.Name)
		}
		names[i.Name], networks[i.Network] = true, true
		if err := i.Rate.Check(); err != nil {
			return err
		}
		if err := CheckConnections(i.Connections); err != nil {
			return err
		}
	}
	return nil
}

// A Rate limits the traffic of an interface of a VPS, in bits per second as tc(8)
// counts them: whole Ethernet frames. 0 is unlimited.
type Rate struct {
	In  uint64 `json:"inBitsPerSecond,omitempty"`  // to the VPS
	Out uint64 `json:"outBitsPerSecond,omitempty"` // from the VPS
}

// The bounds of a rate. Below the least, a full frame takes seconds; above the
// greatest, the buffers are too small.
const (
	LeastRate = 8_000
	MostRate  = 400_000_000_000
)

// Check returns fail.Usage for a rate outside of the bounds.
func (r Rate) Check() error {
	for _, n := range []uint64{r.In, r.Out} {
		if n != 0 && (n < LeastRate || n > MostRate) {
			return fail.New(fail.Usage, "rate: %d bits per second is not from %d to %d", n, uint64(LeastRate), uint64(MostRate))
		}
	}
	return nil
}

// The values of the limit of connections in the host's connection table, beside
// numbers from LeastConnections to MostConnections.
const (
	DefaultConnections   = 0  // a share of the table
	UnlimitedConnections = -1 // no limit
)

// The bounds of the limit of connections.
const (
	LeastConnections = 16
	MostConnections  = math.MaxInt32
)

// CheckConnections returns fail.Usage for an invalid limit of connections.
func CheckConnections(n int64) error {
	if n != DefaultConnections && n != UnlimitedConnections && (n < LeastConnections || n > MostConnections) {
		return fail.New(fail.Usage, "connections: %d is not from %d to %d", n, LeastConnections, MostConnections)
	}
	return nil
}
