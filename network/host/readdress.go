package host

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/network"
)

// Readdress makes a running VPS, whose interface was plugged in as was says,
// have the addresses of now. New ones are let through before the VPS has them;
// old ones are gone inside before others can have them. Addresses that
// the VPS gave itself stay, and stay dropped. Doing it twice changes nothing.
func (h *Host) Readdress(_ context.Context, was, now network.Plan, init inside.Identity) error {
	if now.Mode == network.ModeNone {
		return nil
	}
	ns, err := enterNamespace(init)
	if err != nil {
		return err
	}
	defer ns.Close()
	both := now
	both.Addresses = append(slices.Clone(was.Addresses), now.Addresses...)
	if err := errors.Join(h.addFilterElements(now), h.guardLink(both), h.addNeighbours(now)); err != nil {
		return err
	}
	if err := ns.readdress(was, now); err != nil {
		return err
	}
	more := slices.DeleteFunc(slices.Clone(now.Addresses), func(a netip.Prefix) bool { return slices.Contains(was.Addresses, a) })
	h.announce(now, more, init)
	return errors.Join(h.Withdraw(was, now), h.guardLink(now))
}

// Withdraw removes from the host what was has and now has not. An address that
// has another owner meanwhile stays with it.
func (h *Host) Withdraw(was, now network.Plan) error {
	if !was.HasPort() {
		return nil
	}
	keep := map[string]bool{}
	for _, e := range now.Elements() {
		keep[e.Set+string(e.Key)] = true
	}
	gone := map[string][]nftables.SetElement{}
	for _, e := range was.Elements() {
		if !keep[e.Set+string(e.Key)] {
			gone[e.Set] = append(gone[e.Set], nftables.SetElement{Key: e.Key})
		}
	}
	if err := h.deleteElements(was.Family(), gone); err != nil {
		return err
	}
	if err := h.countConnections(now); err != nil {
		return err
	}
	return h.removeNeighbours(was, now)
}

// readdress: the kernel takes secondary addresses away together with their
// primary one, and routes with the last one of a family, so what stays is set
// again.
func (n *namespace) readdress(was, now network.Plan) error {
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
	if now.HasIPv6() && !was.HasIPv6() {
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
