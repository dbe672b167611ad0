package network

import (
	"net/netip"
	"slices"

	"croft/internal/fail"
	"croft/internal/vps"
)

// Add gives owner's interface more addresses, with the same checks as Claim. It
// skips addresses that the interface already has. On error it records nothing.
func (t *Table) Add(owner vps.Name, iface string, addrs, hostAddrs []netip.Addr) error {
	i, err := t.claim(owner, iface)
	if err != nil {
		return err
	}
	var more []netip.Addr
	for _, a := range unmapped(addrs) {
		if !slices.Contains(t.Claims[i].Addresses, a) && !slices.Contains(more, a) {
			more = append(more, a)
		}
	}
	if t.Mode == ModeNone && len(more) > 0 {
		return fail.New(fail.Usage, "network %q has no addresses to give", t.Name)
	}
	if err := t.checkWanted(more, unmapped(hostAddrs)); err != nil {
		return err
	}
	all := append(slices.Clone(t.Claims[i].Addresses), more...)
	slices.SortStableFunc(all, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	t.Claims[i].Addresses = all
	return nil
}

// Drop removes addresses from owner's interface. If the interface does not have
// one of them, Drop returns fail.NotFound and removes none.
func (t *Table) Drop(owner vps.Name, iface string, addrs []netip.Addr) error {
	i, err := t.claim(owner, iface)
	if err != nil {
		return err
	}
	addrs = unmapped(addrs)
	for _, a := range addrs {
		if !slices.Contains(t.Claims[i].Addresses, a) {
			return fail.New(fail.NotFound, "%s has no address %s", owner, a)
		}
	}
	t.Claims[i].Addresses = slices.DeleteFunc(slices.Clone(t.Claims[i].Addresses), func(a netip.Addr) bool { return slices.Contains(addrs, a) })
	return nil
}

func (t *Table) claim(owner vps.Name, iface string) (int, error) {
	i := slices.IndexFunc(t.Claims, func(c Claim) bool { return c.Owner == owner && c.Interface == iface })
	if i < 0 {
		return 0, fail.New(fail.State, "network %q has no addresses for %s of %s", t.Name, iface, owner)
	}
	return i, nil
}

// Without returns p without the given addresses. It also removes the gateway of
// a family that has no address left.
func (p Plan) Without(addrs []netip.Addr) Plan {
	var four, six bool
	all := p.Addresses
	p.Addresses = nil
	for _, a := range all {
		if !slices.Contains(addrs, a.Addr()) {
			p.Addresses = append(p.Addresses, a)
			four, six = four || a.Addr().Is4(), six || a.Addr().Is6()
		}
	}
	p.Gateways = slices.DeleteFunc(slices.Clone(p.Gateways), func(g netip.Addr) bool { return g.Is4() && !four || g.Is6() && !six })
	return p
}
