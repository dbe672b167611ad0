package values

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"croft/internal/vps"
	"croft/runtime"
)

// Values of the commands about a VPS's network; see values.go.

// NetworkName reads the name of a network.
func NetworkName(s string) (string, error) {
	name, err := vps.ParseName(s)
	return string(name), err
}

// NetworkOrInterface reads the name of a network, or of an interface.
func NetworkOrInterface(s string) (string, error) {
	if _, err := vps.ParseName(s); err == nil {
		return s, nil
	}
	return Interface(s)
}

// An Attachment is an interface of a VPS on a network.
type Attachment struct {
	Network, Name, MAC string
	Addresses          []netip.Addr
}

// NetworkAttachment reads NETWORK[:OPTION,...]: name=INTERFACE, mac=MAC and ip=ADDRESS,
// which may be repeated.
func NetworkAttachment(s string) (Attachment, error) {
	network, options, more := strings.Cut(s, ":")
	var a Attachment
	var err error
	if a.Network, err = NetworkName(network); err != nil || !more {
		return a, err
	}
	for o := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(o, "=")
		switch {
		case key == "name" && a.Name == "":
			a.Name, err = value, vps.CheckLinkName(value)
		case key == "mac" && a.MAC == "":
			a.MAC = strings.ToLower(value)
			err = vps.CheckMAC(a.MAC)
		case key == "ip":
			var address netip.Addr
			address, err = Address(value)
			a.Addresses = append(a.Addresses, address)
		default:
			err = fmt.Errorf("invalid option %q: use name=INTERFACE, mac=MAC, ip=ADDRESS", o)
		}
		if err != nil {
			return a, fmt.Errorf("%q: %w", s, err)
		}
	}
	return a, nil
}

// Place reads an address or a prefix, and returns it in its usual form.
func Place(s string) (string, error) {
	p, err := vps.ParsePrefix(s)
	if err != nil {
		return "", err
	}
	if !strings.Contains(s, "/") {
		return p.Addr().String(), nil
	}
	return p.String(), nil
}

// States reads states of connections.
func States(s string) ([]string, error) {
	all := strings.Split(strings.ToLower(s), ",")
	for _, state := range all {
		if err := vps.CheckState(state); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func Chain(s string) (string, error) { return s, vps.CheckChain(s) }

// Number reads the number of something in a list.
func Number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("invalid number %q: use a number of the list, for example 1", s)
	}
	return int(n), nil
}

// PlainAddress reads an address without a prefix length.
func PlainAddress(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
		return "", fmt.Errorf("invalid address %q", s)
	}
	return a.String(), nil
}

// Destination reads a prefix, an address or "default", which is of the
// family of hint, an address.
func Destination(s, hint string) (string, error) {
	if s == "default" {
		if strings.Contains(hint, ":") {
			return "::/0", nil
		}
		return "0.0.0.0/0", nil
	}
	p, err := vps.ParsePrefix(s)
	return p.String(), err
}

// Interface reads the name of a link.
func Interface(s string) (string, error) { return s, vps.CheckLinkName(s) }

func Bytes(s string) (int, error)      { return numberIn(s, 68, 65535, "number of bytes") }
func RouteTable(s string) (int, error) { return numberIn(s, 1, 1<<32-1, "routing table") }
func Metric(s string) (int, error)     { return numberIn(s, 1, 1<<32-1, "metric") }
func Priority(s string) (int, error)   { return numberIn(s, 1, 32767, "priority") }

func numberIn(s string, least, most uint64, what string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("invalid %s %q: use a number from %d to %d", what, s, least, most)
	}
	return int(n), nil
}

func Mode(s string) (string, error) {
	if !slices.Contains(runtime.NetworkModes(), s) {
		return "", fmt.Errorf("unknown mode %q: use %s", s, strings.Join(runtime.NetworkModes(), ", "))
	}
	return s, nil
}

// A familyPrefix is the prefix that a network has of one family, or that it
// has none.
type familyPrefix struct {
	prefix netip.Prefix
	none   bool
}

func (p familyPrefix) Split() (prefix netip.Prefix, none bool) { return p.prefix, p.none }

func IPv4Prefix(s string) (familyPrefix, error) {
	return parseFamilyPrefix(s, true, "10.1.0.0/16")
}
func IPv6Prefix(s string) (familyPrefix, error) {
	return parseFamilyPrefix(s, false, "fd00:1::/64")
}

func parseFamilyPrefix(s string, four bool, example string) (familyPrefix, error) {
	if s == "none" {
		return familyPrefix{none: true}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4() != four || p.Addr().Is4In6() || p.Addr().IsMulticast() || p.Addr().IsLoopback() {
		return familyPrefix{}, fmt.Errorf("invalid prefix %q (for example %s, or none)", s, example)
	}
	return familyPrefix{prefix: p}, nil
}
