package guest

import (
	"net/netip"
	"slices"
)

// A way is a route that an interface brings with it.
type way struct {
	to     netip.Prefix
	via    netip.Addr
	onLink bool // via is on the link, although no address shows it
}

func (w way) everywhere() bool { return w.to.Bits() == 0 }

// ways returns the routes of one family by the interface's gateways: to
// everything, or to the near prefixes.
func (i Interface) ways(four bool) []way {
	via := i.gateway(four)
	if !via.IsValid() {
		return nil
	}
	covered := func(p netip.Prefix) bool { return p.Contains(via) }
	onLink := four && !slices.ContainsFunc(i.Addresses, covered) // IPv6's is a link-local one then
	if len(i.Near) == 0 {
		return []way{{netip.PrefixFrom(zero(four), 0), via, onLink}}
	}
	var out []way
	for _, p := range i.Near {
		if p.Addr().Is4() == four {
			out = append(out, way{p, via, onLink})
		}
	}
	return out
}

// allWays are those of both families.
func (i Interface) allWays() []way { return append(i.ways(true), i.ways(false)...) }

// plainGateway returns the gateway to everything that is on the link as a guest
// expects it. It is the zero Addr if there is no such gateway.
func (i Interface) plainGateway(four bool) netip.Addr {
	if w := i.ways(four); len(w) == 1 && w[0].everywhere() && !w[0].onLink {
		return w[0].via
	}
	return netip.Addr{}
}

func zero(four bool) netip.Addr {
	if four {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
