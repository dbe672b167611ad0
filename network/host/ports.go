package host

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
	"croft/network"
)

// ensurePorts repairs the filters of running VPSs, and adds their ports to the
// bridge again, which may be a new one. A port that is down and on no bridge is
// left alone: another command is plugging it in.
func (h *Host) ensurePorts(_ context.Context, p network.HostPlan) error {
	if len(p.Ports) == 0 || !p.HasFilter() {
		return nil
	}
	known, err := h.scanPorts(p)
	if err != nil {
		return err
	}
	for _, port := range p.Ports {
		link, there := known.ports[port.HostLink]
		if !there || link.Attrs().Alias != port.Alias() {
			continue // it does not run
		}
		placed := port.Mode != network.ModeBridge || link.Attrs().MasterIndex == known.links[port.Bridge]
		if placed && known.all(port) || !placed && link.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		err = errors.Join(h.addFilterElements(port), h.addNeighbours(port))
		if err == nil && port.Mode == network.ModeRouted {
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

// Replug repairs the interface of a running VPS, whose init is init. made
// reports that the link was missing, on the host or inside, and was created
// again: then routes and published ports of the VPS have to be set again. It
// changes nothing that is right.
func (h *Host) Replug(ctx context.Context, p network.Plan, init inside.Identity) (made bool, err error) {
	if !p.HasPort() {
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
	return false, h.addNeighbours(p) // routes and neighbours went with the link
}

// known has the state of all ports of a network in the kernel, read once.
type known struct {
	links map[string]int // index by name; no name has none
	ports map[string]netlink.Link
	has   map[string]bool
}

func (h *Host) scanPorts(p network.HostPlan) (known, error) {
	k := known{links: map[string]int{}, ports: map[string]netlink.Link{}, has: map[string]bool{}}
	links, err := undisturbed(h.nl.LinkList)
	if err != nil {
		return known{}, classify("list links", err)
	}
	for _, l := range links {
		k.links[l.Attrs().Name] = l.Attrs().Index
		if strings.HasPrefix(l.Attrs().Name, network.LinkPrefix) {
			k.ports[l.Attrs().Name] = l
		}
	}
	for _, set := range []string{network.SetMAC, network.SetIPv4, network.SetIPv6, network.SetSegments} {
		elements, err := h.nft.GetSetElements(kernelSet(p.Family(), set))
		if err != nil {
			return known{}, classify("list set "+set, err)
		}
		for _, e := range elements {
			k.has[set+string(e.Key)] = true
		}
	}
	for _, set := range []string{network.MapOwners4, network.MapOwners6} {
		elements, err := h.nft.GetSetElements(kernelSet(network.FamilyInet, set))
		if err != nil {
			return known{}, classify("list map "+set, err)
		}
		for _, e := range elements {
			k.has[network.OwnerKey(set, e.Key, string(chainOf(e)))] = true
		}
	}
	if err := h.addChains(k, network.FamilyInet); err != nil {
		return known{}, err
	}
	if p.Mode == network.ModeRouted {
		return k, h.addRouted(k)
	}
	bridge, there := k.links[p.Bridge]
	if !there {
		return known{}, fail.New(fail.State, "network %q is not there: bridge %s is missing", p.Network, p.Bridge)
	}
	return k, h.addMissingNeighbours(k, bridge)
}

// addNeighbours of one link, or, for 0, of all.
func (h *Host) addMissingNeighbours(k known, link int) error {
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
		return h.nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: network.ProtocolCroft}, netlink.RT_FILTER_PROTOCOL)
	})
	if err != nil {
		return classify("list routes", err)
	}
	for _, r := range routes {
		k.has["route "+onLinkKey(r.LinkIndex, r.Dst)] = true
	}
	if err := h.addChains(k, network.FamilyNetdev); err != nil {
		return err
	}
	return h.addMissingNeighbours(k, 0)
}

// addChains adds the chains of a table.
func (h *Host) addChains(k known, f network.Family) error {
	chains, err := h.nft.ListChainsOfTableFamily(kernelFamily(f))
	if err != nil {
		return classify("list chains of filters", err)
	}
	for _, c := range chains {
		if c.Table.Name == network.FilterTable {
			k.has[network.ChainKey(c.Name)] = true
		}
	}
	return nil
}

func onLinkKey(link int, p *net.IPNet) string { return fmt.Sprintf("%s on %d", p, link) }

func neighbourKey(n netlink.Neigh) string {
	return fmt.Sprintf("neighbour %d %s %s proxy=%t", n.LinkIndex, n.IP, n.HardwareAddr, n.Flags&netlink.NTF_PROXY != 0)
}

// all reports whether all of a port is there. An emptied hook is not noticed
// here: it lets nothing pass.
func (k known) all(p network.Plan) bool {
	for _, e := range p.Elements() {
		if !k.has[e.Set+string(e.Key)] {
			return false
		}
	}
	if !p.HasOwners(k.has) {
		return false
	}
	for _, n := range p.Neighbours() {
		if !k.has[neighbourKey(kernelNeighbour(n, k.links[n.Link], p))] {
			return false
		}
	}
	if p.Mode != network.ModeRouted {
		return true
	}
	for _, c := range p.PortHooks() {
		if !k.has[network.ChainKey(c.Name)] {
			return false
		}
	}
	link := k.links[p.HostLink]
	for _, a := range p.LinkAddresses() {
		if !k.has[onLinkKey(link, ipNet(a))] {
			return false
		}
	}
	for _, a := range p.HostRoutes() {
		if !k.has["route "+onLinkKey(link, ipNet(netip.PrefixFrom(a, a.BitLen())))] {
			return false
		}
	}
	return true
}

// addPortChains adds the chains of the filters to a link that is not a port of
// a bridge, or repairs existing ones, in one step.
func (h *Host) addPortChains(p network.Plan) error {
	t := kernelTable(p.Family())
	for _, c := range p.PortHooks() {
		h.nft.FlushChain(h.nft.AddChain(chainIn(t, c)))
		h.addRules(t, c)
	}
	return classify("hook filters to "+p.HostLink+" (nftables: ingress, and egress, which is kernel 5.16)", h.nft.Flush())
}

// removePortChains removes the chains of a link. Kernels before 6.16 drop such
// a chain with its link, newer ones keep it for the next link of that name.
// No-op without chains.
func (h *Host) removePortChains(f network.Family, hostLink string) error {
	if f != network.FamilyNetdev {
		return nil
	}
	if there, err := h.tableIsThere(f); err != nil || !there {
		return err
	}
	chains, err := h.nft.ListChainsOfTableFamily(kernelFamily(f))
	if err != nil {
		return classify("list chains of filters", err)
	}
	for _, c := range (network.Plan{HostLink: hostLink}).PortHooks() {
		for _, there := range chains {
			if there.Name != c.Name || there.Table.Name != network.FilterTable {
				continue
			}
			h.nft.DelChain(&nftables.Chain{Name: c.Name, Table: kernelTable(f)})
			if err := h.nft.Flush(); err != nil && !isAbsent(err) {
				return classify("remove hooks of "+hostLink, err)
			}
		}
	}
	return nil
}
