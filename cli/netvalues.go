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
		return 0, 0, fmt.Errorf("%q is no port, nor a range: 80, 8000-8100", s)
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
		return "", fmt.Errorf("%q is no address and no prefix: 192.0.2.1, 192.0.2.0/24, fd00::/8", s)
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
		return "", fmt.Errorf("%q is no chain: %s", s, strings.Join(runtime.FirewallChains(), ", "))
	}
	return s, nil
}

// parseNumber reads the number of something in a list.
func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no number in the list: 1, 2", s)
	}
	return int(n), nil
}
