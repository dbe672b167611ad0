package vps

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParsePorts reads "80" or "8000-8100".
func ParsePorts(s string) (first, last uint16, err error) {
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	first, last = port(low), port(high)
	if first == 0 || last < first {
		return 0, 0, fmt.Errorf("invalid port or range %q (for example 80, 8000-8100)", s)
	}
	return first, last, nil
}

// port is 0 for text that is not a port, or is not written in the usual form.
func port(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0
	}
	return uint16(n)
}

// ParsePrefix reads an address or a prefix. An address is the prefix of itself
// alone. Bits behind the length of a prefix are cleared.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("invalid address or prefix %q (for example 192.0.2.1, 192.0.2.0/24, fd00::/8)", s)
	}
	return p.Masked(), nil
}

// CanonicalPrefix is the one spelling of an address or a prefix, as the kernel
// prints it: with its length. It is "" for "" and for invalid text.
func CanonicalPrefix(s string) string {
	if p, err := ParsePrefix(s); err == nil {
		return p.String()
	}
	return ""
}

// family returns 4 or 6, the family of two addresses or prefixes. "" is of any
// family; 0 says that both are "". Different families are an error.
func family(from, to string) (int, error) {
	family := 0
	for _, s := range []string{from, to} {
		if s == "" {
			continue
		}
		p, err := ParsePrefix(s)
		if err != nil {
			return 0, err
		}
		is := 4
		if p.Addr().Is6() {
			is = 6
		}
		if family != 0 && family != is {
			return 0, fmt.Errorf("%s and %s are of different families", from, to)
		}
		family = is
	}
	return family, nil
}
