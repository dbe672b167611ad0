package network

import (
	"fmt"
	"strings"
)

// A shaper is one token bucket (tc-tbf(8)).
type Shaper struct {
	Rate  uint64 // bits per second
	Burst uint32 // bytes at once
	Limit uint32 // bytes that wait; what comes then is dropped
}

// newShaper lets 10 ms pass at once, so that a late timer loses nothing, and
// 50 ms wait, which is what TCP needs to fill it. The least of both holds what
// TCP sends at once; a burst has to hold the largest frame, or that never
// passes. The most that waits bounds the host's memory.
func NewShaper(rate uint64, mtu int) Shaper {
	const (
		leastBurst = 16 << 10
		leastLimit = 64 << 10
		mostLimit  = 64 << 20
		header     = 14 + 4 // Ethernet's, and a tag
	)
	s := Shaper{Rate: rate}
	s.Burst = uint32(max(rate/8/100, leastBurst, uint64(mtu+header)))
	s.Limit = uint32(min(max(rate/8/20, leastLimit, uint64(2*(mtu+header))), mostLimit))
	return s
}

func (s Shaper) String() string {
	return fmt.Sprintf("tbf rate %dbit burst %db limit %db", s.Rate, s.Burst, s.Limit)
}

// Shapers returns the shapers of both directions; nil means none. Traffic to a
// VPS is shaped on the host's end of the pair. Traffic from it first goes
// through a separate link (ifb), and after that through the filters. The VPS
// can reach neither.
func (p Plan) Shapers() (in, out *Shaper) {
	if p.HostLink == "" {
		return nil, nil
	}
	if p.Rate.In > 0 {
		s := NewShaper(p.Rate.In, p.MTU)
		in = &s
	}
	if p.Rate.Out > 0 && p.Mode != ModeRouted { // which has it in its filters: portHooks
		s := NewShaper(p.Rate.Out, p.MTU)
		out = &s
	}
	return in, out
}

// shaperPrefix begins the name of the link that shapes the traffic from a VPS.
// The filters do not take such a link for a port.
const shaperPrefix = "ci-"

// ShaperLink returns the name of the shaper link, derived from the host link.
func (p Plan) ShaperLink() string { return shaperPrefix + strings.TrimPrefix(p.HostLink, LinkPrefix) }

// ShaperHandle is the handle of croft's token buckets, 0xc0 as in croft. Token
// buckets with another handle belong to other programs.
const ShaperHandle = 0xc0

// RedirectPriority is the priority of the filter that sends traffic from a VPS
// through its shaper link.
const RedirectPriority = 10

// rateText prints the rates as commands of tc(8) and ip(8); nothing without a
// limit.
func (p Plan) rateText(line func(string, ...any)) {
	in, out := p.Shapers()
	if in != nil {
		line("tc qdisc replace dev %s root handle %x: %s", p.HostLink, ShaperHandle, in)
	}
	if out == nil {
		return
	}
	link := p.ShaperLink()
	line("ip link add %s type ifb", link)
	line("ip link set %s alias %q", link, p.Alias())
	line("sysctl net.ipv6.conf.%s.disable_ipv6=1", link)
	line("tc qdisc replace dev %s root handle %x: %s", link, ShaperHandle, out)
	line("ip link set %s up", link)
	line("tc qdisc add dev %s clsact", p.HostLink)
	line("tc filter add dev %s ingress protocol all prio %d u32 match u32 0 0 action mirred egress redirect dev %s",
		p.HostLink, RedirectPriority, link)
}
