package vps

import (
	"net/netip"
	"strings"

	"croft/internal/fail"
)

// A Publication forwards ports of the host to as many ports of a VPS.
type Publication struct {
	Protocol string `json:"protocol"`       // tcp, udp
	Host     string `json:"host,omitempty"` // an address of the host; "" is all, 0.0.0.0 and :: are all of one family
	Ports    string `json:"ports"`          // of the host: "8080", "8000-8100"
	To       string `json:"to"`             // of the VPS, as many
}

// Check returns fail.Usage for an invalid publication.
func (p Publication) Check() error {
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		return fail.New(fail.Usage, "publish %s: unknown protocol %q: use tcp or udp", p, p.Protocol)
	}
	first, last, err := ParsePorts(p.Ports)
	if err != nil {
		return fail.New(fail.Usage, "publish %s: %w", p, err)
	}
	to, toLast, err := ParsePorts(p.To)
	if err != nil {
		return fail.New(fail.Usage, "publish %s: %w", p, err)
	}
	if last-first != toLast-to {
		return fail.New(fail.Usage, "publish %s: %d ports cannot lead to %d", p, last-first+1, toLast-to+1)
	}
	if p.Host == "" {
		return nil
	}
	a, err := netip.ParseAddr(p.Host)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return fail.New(fail.Usage, "publish %s: a host cannot be reached at the address %q", p, p.Host)
	}
	return nil
}

// checkPublished checks each publication, and that no packet is for two of them.
func (v VPS) checkPublished() error {
	for n, p := range v.Published {
		if err := p.Check(); err != nil {
			return err
		}
		mine := v
		mine.Published = v.Published[:n]
		if err := p.CheckFree([]VPS{mine}); err != nil {
			return err
		}
	}
	return nil
}

// CheckFree returns fail.Taken if one of the VPSs has published a port of p.
func (p Publication) CheckFree(all []VPS) error {
	for _, v := range all {
		for _, q := range v.Published {
			if p.Overlaps(q) {
				return fail.New(fail.Taken, "publish %s: %s has published %s", p, v.Name, q).
					WithHint("croft publish %s list", v.Name)
			}
		}
	}
	return nil
}

// String is p as a person types it: 192.0.2.1:8080:80, [::1]:5353:53/udp.
func (p Publication) String() string {
	s := p.Ports + ":" + p.To
	switch {
	case strings.Contains(p.Host, ":"):
		s = "[" + p.Host + "]:" + s
	case p.Host != "":
		s = p.Host + ":" + s
	}
	if p.Protocol != "tcp" {
		s += "/" + p.Protocol
	}
	return s
}

// Overlaps reports whether some packet would be for both.
func (p Publication) Overlaps(q Publication) bool {
	first, last, _ := ParsePorts(p.Ports) // Check has checked them
	qFirst, qLast, _ := ParsePorts(q.Ports)
	if p.Protocol != q.Protocol || last < qFirst || qLast < first {
		return false
	}
	a, b := p.HostAddr(), q.HostAddr()
	switch {
	case !a.IsValid() || !b.IsValid():
		return true
	case a.Is4() != b.Is4():
		return false
	}
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

// HostAddr is the address of the host; the zero Addr is every address.
func (p Publication) HostAddr() netip.Addr {
	a, _ := netip.ParseAddr(p.Host)
	return a
}

// InFamily reports whether p publishes on addresses of that family.
func (p Publication) InFamily(six bool) bool {
	a := p.HostAddr()
	return !a.IsValid() || a.Is6() == six
}

// OnEveryAddress reports whether p publishes on all addresses of the host, at
// least of one family.
func (p Publication) OnEveryAddress() bool {
	a := p.HostAddr()
	return !a.IsValid() || a.IsUnspecified()
}

// OnLoopback reports whether the host's own loopback address is among those
// that p publishes on.
func (p Publication) OnLoopback() bool { return p.OnEveryAddress() || p.HostAddr().IsLoopback() }
