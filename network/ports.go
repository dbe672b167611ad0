package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"croft/internal/fail"
	"croft/internal/inside"
)

// ensurePorts gives running VPSs back what was flushed, and the ports of
// a bridge their place on it: the bridge may have been made anew. A port that
// is down and on no bridge is left alone: another command is plugging it in.
func (h *Host) ensurePorts(_ context.Context, p HostPlan) error {
	if len(p.Ports) == 0 || !p.hasFilter() {
		return nil
	}
	known, err := h.known(p)
	if err != nil {
		return err
	}
	for _, port := range p.Ports {
		link, there := known.ports[port.HostLink]
		if !there || link.Attrs().Alias != port.Alias() {
			continue // it does not run
		}
		placed := port.Mode != ModeBridge || link.Attrs().MasterIndex == known.links[port.Bridge]
		if placed && known.all(port) || !placed && link.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		err = errors.Join(h.admit(port), h.introduce(port))
		if err == nil && port.Mode == ModeRouted {
			err = h.makeRouted(port, link)
		} else if err == nil {
			err = errors.Join(h.makePort(port, link), h.setGuard(port, link))
		}
		if isNotFound(err) {
			continue // it has just ended
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Replug makes the interface of a running VPS whole, whose init is init. made
// reports that it was missing, inside too, and was made anew: then routes and
// published ports of the VPS have to be set again. What is right is not touched.
func (h *Host) Replug(ctx context.Context, p Plan, init inside.Identity) (made bool, err error) {
	if !p.hasPort() {
		return false, nil
	}
	link, err := h.nl.LinkByName(p.HostLink)
	switch {
	case isNotFound(err):
		return true, h.Plug(ctx, p, init)
	case err != nil:
		return false, classify("find link "+p.HostLink, err)
	case link.Attrs().Alias != p.Alias():
		return false, fail.New(fail.Taken, "link %s belongs to %q", p.HostLink, link.Attrs().Alias)
	case link.Attrs().Flags&net.FlagUp != 0:
		return false, nil
	}
	if err := h.nl.LinkSetUp(link); err != nil {
		return false, classify("bring up "+p.HostLink, err)
	}
	return false, h.introduce(p) // routes and neighbours went with the link
}

// known is what the kernel has of all ports of a network, asked once.
type known struct {
	links map[string]int // index by name; no name has none
	ports map[string]netlink.Link
	has   map[string]bool
}

func (h *Host) known(p HostPlan) (known, error) {
	k := known{links: map[string]int{}, ports: map[string]netlink.Link{}, has: map[string]bool{}}
	links, err := undisturbed(h.nl.LinkList)
	if err != nil {
		return known{}, classify("list links", err)
	}
	for _, l := range links {
		k.links[l.Attrs().Name] = l.Attrs().Index
		if strings.HasPrefix(l.Attrs().Name, linkPrefix) {
			k.ports[l.Attrs().Name] = l
		}
	}
	for _, set := range []string{setMAC, setIPv4, setIPv6, setSegments} {
		elements, err := h.nft.GetSetElements(kernelSet(p.family(), set))
		if err != nil {
			return known{}, classify("list set "+set, err)
		}
		for _, e := range elements {
			k.has[set+string(e.Key)] = true
		}
	}
	for _, set := range []string{mapOwners4, mapOwners6} {
		elements, err := h.nft.GetSetElements(kernelSet(familyInet, set))
		if err != nil {
			return known{}, classify("list map "+set, err)
		}
		for _, e := range elements {
			k.has[ownerKey(set, e.Key, string(chainOf(e)))] = true
		}
	}
	if p.Mode == ModeRouted {
		return k, h.addRouted(k)
	}
	bridge, there := k.links[p.Bridge]
	if !there {
		return known{}, fail.New(fail.State, "network %q is not there: bridge %s is missing", p.Network, p.Bridge)
	}
	return k, h.addNeighbours(k, bridge)
}

// addNeighbours of one link, or, for 0, of all.
func (h *Host) addNeighbours(k known, link int) error {
	for _, list := range []func(int, int) ([]netlink.Neigh, error){h.nl.NeighList, h.nl.NeighProxyList} {
		entries, err := undisturbed(func() ([]netlink.Neigh, error) { return list(link, netlink.FAMILY_ALL) })
		if err != nil {
			return classify("list neighbours", err)
		}
		for _, n := range entries {
			k.has[neighbourKey(n)] = true
		}
	}
	return nil
}

// addRouted adds what links of routed networks have of their own.
func (h *Host) addRouted(k known) error {
	addrs, err := undisturbed(func() ([]netlink.Addr, error) { return h.nl.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return classify("list addresses", err)
	}
	for _, a := range addrs {
		k.has[onLinkKey(a.LinkIndex, a.IPNet)] = true
	}
	routes, err := undisturbed(func() ([]netlink.Route, error) {
		return h.nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: protocolCroft}, netlink.RT_FILTER_PROTOCOL)
	})
	if err != nil {
		return classify("list routes", err)
	}
	for _, r := range routes {
		k.has["route "+onLinkKey(r.LinkIndex, r.Dst)] = true
	}
	chains, err := h.nft.ListChainsOfTableFamily(kernelFamily(familyNetdev))
	if err != nil {
		return classify("list chains of filters", err)
	}
	for _, c := range chains {
		if c.Table.Name == filterTable {
			k.has["chain "+c.Name] = true
		}
	}
	return h.addNeighbours(k, 0)
}

func onLinkKey(link int, p *net.IPNet) string { return fmt.Sprintf("%s on %d", p, link) }

func neighbourKey(n netlink.Neigh) string {
	return fmt.Sprintf("neighbour %d %s %s proxy=%t", n.LinkIndex, n.IP, n.HardwareAddr, n.Flags&netlink.NTF_PROXY != 0)
}

// all reports whether all of a port is there. An emptied hook is not noticed
// here: it lets nothing pass.
func (k known) all(p Plan) bool {
	for _, e := range p.elements() {
		if !k.has[e.set+string(e.key)] {
			return false
		}
	}
	if !p.hasOwners(k.has) {
		return false
	}
	for _, n := range p.neighbours() {
		if !k.has[neighbourKey(kernelNeighbour(n, k.links[n.link], p))] {
			return false
		}
	}
	if p.Mode != ModeRouted {
		return true
	}
	for _, c := range p.portHooks() {
		if !k.has["chain "+c.name] {
			return false
		}
	}
	link := k.links[p.HostLink]
	for _, a := range p.linkAddresses() {
		if !k.has[onLinkKey(link, ipNet(a))] {
			return false
		}
	}
	for _, a := range p.hostRoutes() {
		if !k.has["route "+onLinkKey(link, ipNet(netip.PrefixFrom(a, a.BitLen())))] {
			return false
		}
	}
	return true
}

// hook makes the filters' hooks at a link that is no bridge's port, or makes
// those that are there right, in one step.
func (h *Host) hook(p Plan) error {
	t := kernelTable(p.family())
	for _, c := range p.portHooks() {
		h.nft.FlushChain(h.nft.AddChain(chainIn(t, c)))
		h.addRules(t, c)
	}
	return classify("hook filters to "+p.HostLink+" (nftables: ingress, and egress, which is kernel 5.16)", h.nft.Flush())
}

// unhook: kernels before 6.16 drop such a chain with its link, newer ones keep
// it for the next link of that name. Absent is success.
func (h *Host) unhook(f family, hostLink string) error {
	if f != familyNetdev {
		return nil
	}
	if there, err := h.tableIsThere(f); err != nil || !there {
		return err
	}
	chains, err := h.nft.ListChainsOfTableFamily(kernelFamily(f))
	if err != nil {
		return classify("list chains of filters", err)
	}
	for _, c := range (Plan{HostLink: hostLink}).portHooks() {
		for _, there := range chains {
			if there.Name != c.name || there.Table.Name != filterTable {
				continue
			}
			h.nft.DelChain(&nftables.Chain{Name: c.name, Table: kernelTable(f)})
			if err := h.nft.Flush(); err != nil && !isAbsent(err) {
				return classify("remove hooks of "+hostLink, err)
			}
		}
	}
	return nil
}
