package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"croft/runtime"
)

// Values of the commands about a VPS's network; see values.go.

// parsePorts reads a port or a range of them.
func parsePorts(s string) (first, last int, err error) {
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	port := func(s string) int {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || strconv.FormatUint(n, 10) != s {
			return 0
		}
		return int(n)
	}
	first, last = port(low), port(high)
	if first == 0 || last < first {
		return 0, 0, fmt.Errorf("invalid port or range %q (for example 80, 8000-8100)", s)
	}
	return first, last, nil
}

// parsePlace reads an address or a prefix, and returns it in its usual form.
func parsePlace(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return a.String(), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return "", fmt.Errorf("invalid address or prefix %q (for example 192.0.2.1, 192.0.2.0/24, fd00::/8)", s)
	}
	return p.Masked().String(), nil
}

// parseStates reads states of connections.
func parseStates(s string) ([]string, error) {
	var all []string
	for state := range strings.SplitSeq(strings.ToLower(s), ",") {
		if !slices.Contains(runtime.FirewallStates(), state) {
			return nil, fmt.Errorf("%q is none of %s", state, strings.Join(runtime.FirewallStates(), ", "))
		}
		all = append(all, state)
	}
	return all, nil
}

func parseChain(s string) (string, error) {
	if !slices.Contains(runtime.FirewallChains(), s) {
		return "", fmt.Errorf("unknown chain %q: use %s", s, strings.Join(runtime.FirewallChains(), ", "))
	}
	return s, nil
}

// parseNumber reads the number of something in a list.
func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("invalid number %q: use a number of the list, for example 1", s)
	}
	return int(n), nil
}

// parsePlainAddress reads an address without a prefix length.
func parsePlainAddress(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
		return "", fmt.Errorf("invalid address %q", s)
	}
	return a.String(), nil
}

// parseDestination reads a prefix, an address or "default", which is of the
// family of hint, an address.
func parseDestination(s, hint string) (string, error) {
	if s == "default" {
		if strings.Contains(hint, ":") {
			return "::/0", nil
		}
		return "0.0.0.0/0", nil
	}
	p, err := parsePlace(s)
	if err == nil && !strings.Contains(p, "/") {
		a := netip.MustParseAddr(p)
		p = netip.PrefixFrom(a, a.BitLen()).String()
	}
	return p, err
}

// parseInterface reads the name of a link.
func parseInterface(s string) (string, error) {
	if len(s) > 15 || strings.Trim(s, letters+"0123456789-_.") != "" || s[0] == '-' || s[0] == '.' {
		return "", fmt.Errorf("invalid interface %q (for example eth0)", s)
	}
	return s, nil
}

func parseBytes(s string) (int, error)      { return numberIn(s, 68, 65535, "number of bytes") }
func parseRouteTable(s string) (int, error) { return numberIn(s, 1, 1<<32-1, "routing table") }
func parseMetric(s string) (int, error)     { return numberIn(s, 1, 1<<32-1, "metric") }
func parsePriority(s string) (int, error)   { return numberIn(s, 1, 32767, "priority") }

func numberIn(s string, least, most uint64, what string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("invalid %s %q: use a number from %d to %d", what, s, least, most)
	}
	return int(n), nil
}

func parseMode(s string) (string, error) {
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

func (p familyPrefix) split() (prefix netip.Prefix, none bool) { return p.prefix, p.none }

func parseIPv4Prefix(s string) (familyPrefix, error) {
	return parseFamilyPrefix(s, true, "10.1.0.0/16")
}
func parseIPv6Prefix(s string) (familyPrefix, error) {
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
