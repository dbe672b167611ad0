package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/network"
)

// addNeighbours gives the host permanent neighbour entries for the addresses of
// p, and proxy entries to answer for them.
func (h *Host) addNeighbours(p network.Plan) error {
	for _, a := range p.HostRoutes() {
		if err := h.addHostRoute(p, a); err != nil {
			return err
		}
	}
	for _, n := range p.Neighbours() {
		link, err := h.nl.LinkByName(n.Link)
		if err != nil {
			return classify("find link "+n.Link, err)
		}
		entry := kernelNeighbour(n, link.Attrs().Index, p)
		if err := h.nl.NeighSet(&entry); err != nil {
			return classify(fmt.Sprintf("enter neighbour %s", n.Addr), err)
		}
	}
	return nil
}

// kernel is the entry as the kernel is told.
func kernelNeighbour(n network.Neighbour, link int, p network.Plan) netlink.Neigh {
	entry := netlink.Neigh{LinkIndex: link, Family: familyOf(n.Addr), IP: n.Addr.AsSlice()}
	if n.Proxy {
		entry.Flags = netlink.NTF_PROXY
	} else {
		entry.State, entry.HardwareAddr = netlink.NUD_PERMANENT, p.MAC
	}
	return entry
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func hostRoute(link netlink.Link, a netip.Addr) *netlink.Route {
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(netip.PrefixFrom(a, a.BitLen())), Protocol: network.ProtocolCroft}
	if a.Is4() {
		r.Scope = unix.RT_SCOPE_LINK
	}
	return r
}

// addHostRoute does not replace another owner's route to the address.
func (h *Host) addHostRoute(p network.Plan, a netip.Addr) error {
	link, err := h.nl.LinkByName(p.HostLink)
	if err != nil {
		return classify("find link "+p.HostLink, err)
	}
	r := hostRoute(link, a)
	err = h.nl.RouteAdd(r)
	if !errors.Is(err, unix.EEXIST) {
		return classify("add route to "+a.String(), err)
	}
	there, err := undisturbed(func() ([]netlink.Route, error) {
		return h.nl.RouteListFiltered(familyOf(a), &netlink.Route{Dst: r.Dst}, netlink.RT_FILTER_DST)
	})
	if err != nil {
		return classify("list routes to "+a.String(), err)
	}
	for _, t := range there {
		if t.LinkIndex == link.Attrs().Index {
			return nil
		}
	}
	return fail.New(fail.Taken, "the host has another route to %s", a).WithHint("ip route show %s", a)
}

// forget takes back what introduce did for was and does not do for now. An
// entry that leads to another VPS by now is left.
func (h *Host) removeNeighbours(was, now network.Plan) error {
	left, routes := now.Neighbours(), now.HostRoutes()
	gone := slices.DeleteFunc(was.Neighbours(), func(n network.Neighbour) bool { return slices.Contains(left, n) })
	if len(gone) == 0 {
		return nil
	}
	owned, err := h.ownedByOthers(was)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range gone {
		if !owned[n.Addr] {
			errs = append(errs, h.removeNeighbour(n, was))
		}
	}
	link, err := h.nl.LinkByName(was.HostLink)
	if err != nil {
		return errors.Join(errs...) // its routes went with it
	}
	for _, a := range was.HostRoutes() {
		if slices.Contains(routes, a) {
			continue
		}
		if err := h.nl.RouteDel(hostRoute(link, a)); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, classify("remove route to "+a.String(), err))
		}
	}
	return errors.Join(errs...)
}

func (h *Host) removeNeighbour(n network.Neighbour, was network.Plan) error {
	link, err := h.nl.LinkByName(n.Link)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return classify("find link "+n.Link, err)
	}
	entry := kernelNeighbour(n, link.Attrs().Index, was)
	if err := h.nl.NeighDel(&entry); err != nil && !errors.Is(err, unix.ENOENT) {
		return classify(fmt.Sprintf("remove neighbour %s", n.Addr), err)
	}
	return nil
}

// ownedByOthers are the addresses that the host knows as another VPS's: on a
// bridge by their MAC, else by their route.
func (h *Host) ownedByOthers(was network.Plan) (map[netip.Addr]bool, error) {
	owned := map[netip.Addr]bool{}
	if was.Mode == network.ModeRouted {
		own := -1
		if link, err := h.nl.LinkByName(was.HostLink); err == nil {
			own = link.Attrs().Index
		}
		routes, err := undisturbed(func() ([]netlink.Route, error) {
			return h.nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: network.ProtocolCroft}, netlink.RT_FILTER_PROTOCOL)
		})
		if err != nil {
			return nil, classify("list routes", err)
		}
		for _, r := range routes {
			if p, ok := prefixOfIPNet(r.Dst.IP, r.Dst.Mask); ok && r.LinkIndex != own {
				owned[p.Addr()] = true
			}
		}
		return owned, nil
	}
	bridge, err := h.nl.LinkByName(was.Bridge)
	if isNotFound(err) {
		return owned, nil
	}
	if err != nil {
		return nil, classify("find bridge "+was.Bridge, err)
	}
	entries, err := undisturbed(func() ([]netlink.Neigh, error) {
		return h.nl.NeighList(bridge.Attrs().Index, netlink.FAMILY_ALL)
	})
	if err != nil {
		return nil, classify("list neighbours", err)
	}
	for _, e := range entries {
		if a, ok := netip.AddrFromSlice(e.IP); ok && e.State&netlink.NUD_PERMANENT != 0 && e.HardwareAddr.String() != was.MAC.String() {
			owned[a.Unmap()] = true
		}
	}
	return owned, nil
}
