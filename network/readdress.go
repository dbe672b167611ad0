package network

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
)

// Add gives owner's interface more addresses, checked as those of Claim are.
// What it has already is success. On error nothing is recorded.
func (t *Table) Add(owner, iface string, addrs, hostAddrs []netip.Addr) error {
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

// Drop takes addresses from owner's interface. One that it does not have is
// fail.NotFound, and then none is taken.
func (t *Table) Drop(owner, iface string, addrs []netip.Addr) error {
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

func (t *Table) claim(owner, iface string) (int, error) {
	i := slices.IndexFunc(t.Claims, func(c Claim) bool { return c.Owner == owner && c.Interface == iface })
	if i < 0 {
		return 0, fail.New(fail.State, "network %q has no addresses for %s of %s", t.Name, iface, owner)
	}
	return i, nil
}

// Without returns p without some of its addresses, and without the gateway of a
// family that none is left of.
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

// Readdress makes a running VPS, whose interface was plugged in as was says,
// have the addresses of now. New ones are let through before the VPS has them;
// old ones are gone inside before others can have them. Addresses that
// the VPS gave itself stay, and stay dropped. Doing it twice changes nothing.
func (h *Host) Readdress(_ context.Context, was, now Plan, init inside.Identity) error {
	if now.Mode == ModeNone {
		return nil
	}
	ns, err := enterNamespace(init)
	if err != nil {
		return err
	}
	defer ns.Close()
	both := now
	both.Addresses = append(slices.Clone(was.Addresses), now.Addresses...)
	if err := errors.Join(h.admit(now), h.guardLink(both), h.introduce(now)); err != nil {
		return err
	}
	if err := ns.readdress(was, now); err != nil {
		return err
	}
	more := slices.DeleteFunc(slices.Clone(now.Addresses), func(a netip.Prefix) bool { return slices.Contains(was.Addresses, a) })
	h.announce(now, more, init)
	return errors.Join(h.Withdraw(was, now), h.guardLink(now))
}

// Withdraw forgets on the host what was says and now does not. An address that
// has another owner by now is left to it.
func (h *Host) Withdraw(was, now Plan) error {
	if !was.hasPort() {
		return nil
	}
	keep := map[string]bool{}
	for _, e := range now.elements() {
		keep[e.set+string(e.key)] = true
	}
	gone := map[string][]nftables.SetElement{}
	for _, e := range was.elements() {
		if !keep[e.set+string(e.key)] {
			gone[e.set] = append(gone[e.set], nftables.SetElement{Key: e.key})
		}
	}
	if err := h.deleteElements(was.family(), gone); err != nil {
		return err
	}
	if err := h.countConnections(now); err != nil {
		return err
	}
	return h.forget(was, now)
}

// readdress: the kernel takes secondary addresses away together with their
// primary one, and routes with the last one of a family, so what stays is set
// again.
func (n *namespace) readdress(was, now Plan) error {
	link, err := n.nl.LinkByName(now.Interface)
	if isNotFound(err) {
		return fail.New(fail.State, "%s has no interface %s any more", now.Owner, now.Interface)
	}
	if err != nil {
		return classify("find "+now.Interface, err)
	}
	for _, a := range was.Addresses {
		if slices.Contains(now.Addresses, a) {
			continue
		}
		if err := n.nl.AddrDel(link, address(a)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return classify("remove address "+a.String(), err)
		}
	}
	if now.hasIPv6() && !was.hasIPv6() {
		if err := n.nl.LinkSetIP6AddrGenMode(link, addrGenModeEUI64); err != nil {
			return classify("set link-local address", err)
		}
	}
	for _, a := range now.Addresses {
		if err := n.nl.AddrReplace(link, address(a)); err != nil {
			return classify("add address "+a.String(), err)
		}
	}
	return n.ensureGateways(now)
}
