package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// Plug gives the VPS whose waiting init is pid its interface. Filters and
// neighbours are there before the link is, and the host's end goes up last.
// What an earlier interface of that name left is swept first. The network has to be
// there (Ensure). On error nothing of it is left.
func (h *Host) Plug(ctx context.Context, p Plan, pid int) (err error) {
	inside, err := openInside(pid)
	if err != nil {
		return err
	}
	defer inside.Close()
	if p.Mode == ModeNone {
		return inside.loopback()
	}
	bridge, err := h.nl.LinkByName(p.Bridge)
	if isNotFound(err) {
		return fail.New(fail.State, "network %q is not there: bridge %s is missing", p.Network, p.Bridge)
	}
	if err != nil {
		return classify("find bridge "+p.Bridge, err)
	}
	if err := h.Unplug(ctx, p); err != nil {
		return fmt.Errorf("sweep what %s left: %w", p.HostLink, err)
	}
	if err := ctx.Err(); err != nil {
		return classify("plug "+p.HostLink, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Unplug(context.WithoutCancel(ctx), p))
		}
	}()
	if err := h.admit(p); err != nil {
		return err
	}
	if err := h.introduce(p, bridge); err != nil {
		return err
	}
	link, err := h.makePair(p, bridge, inside)
	if err != nil {
		return err
	}
	if err := h.shape(p, link, nil); err != nil {
		return err
	}
	if err := inside.configure(p); err != nil {
		return fmt.Errorf("set up %s of %s: %w", p.Interface, p.Owner, err)
	}
	return classify("bring up "+p.HostLink, h.nl.LinkSetUp(link))
}

// Unplug takes the interface and everything about it off the host. What is
// absent is success. A link of that name that belongs to somebody else is
// left alone, with fail.Taken.
func (h *Host) Unplug(_ context.Context, p Plan) error {
	if p.Mode == ModeNone {
		return nil
	}
	link, err := h.nl.LinkByName(p.HostLink)
	switch {
	case isNotFound(err):
	case err != nil:
		return classify("find link "+p.HostLink, err)
	case link.Attrs().Alias != "" && link.Attrs().Alias != p.Alias():
		return fail.New(fail.Taken, "link %s belongs to %q", p.HostLink, link.Attrs().Alias)
	default:
		// The link first: once it is gone there is nothing that Ensure, in
		// another process, would put the rest back for.
		if err := h.nl.LinkDel(link); err != nil && !isNotFound(err) {
			return classify("remove link "+p.HostLink, err)
		}
	}
	return errors.Join(h.removeShaperLink(p), h.forget(p), h.dismiss(p.HostLink))
}

// introduce tells the host who has p's addresses, so that it never asks, and
// to answer for them.
func (h *Host) introduce(p Plan, bridge netlink.Link) error {
	for _, n := range p.neighbourEntries(bridge.Attrs().Index) {
		if err := h.nl.NeighSet(&n); err != nil {
			return classify(fmt.Sprintf("enter neighbour %s", n.IP), err)
		}
	}
	return nil
}

// forget is the inverse of introduce.
func (h *Host) forget(p Plan) error {
	bridge, err := h.nl.LinkByName(p.Bridge)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return classify("find bridge "+p.Bridge, err)
	}
	var errs []error
	for _, n := range p.neighbourEntries(bridge.Attrs().Index) {
		if err := h.nl.NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, classify(fmt.Sprintf("remove neighbour %s", n.IP), err))
		}
	}
	return errors.Join(errs...)
}

func (p Plan) neighbourEntries(bridge int) []netlink.Neigh {
	var out []netlink.Neigh
	for _, a := range p.neighbours() {
		out = append(out, netlink.Neigh{LinkIndex: bridge, Family: familyOf(a), State: netlink.NUD_PERMANENT,
			IP: a.AsSlice(), HardwareAddr: p.MAC})
	}
	for _, a := range p.Addresses {
		if a.Addr().Is6() {
			out = append(out, netlink.Neigh{LinkIndex: bridge, Family: unix.AF_INET6, Flags: netlink.NTF_PROXY, IP: a.Addr().AsSlice()})
		}
	}
	return out
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// makePair makes the pair with its far end in the VPS from the beginning, so
// that it never has a name on the host, and makes the near end a port.
func (h *Host) makePair(p Plan, bridge netlink.Link, inside *inside) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = p.HostLink, p.MTU
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: p.Interface, PeerHardwareAddr: p.MAC,
		PeerNamespace: netlink.NsFd(inside.fd), PeerMTU: uint32(p.MTU)}
	if err := h.nl.LinkAdd(veth); err != nil {
		return nil, classify("make link "+p.HostLink, err)
	}
	link, err := h.nl.LinkByName(p.HostLink)
	if err != nil {
		return nil, classify("find link "+p.HostLink, err)
	}
	if err := h.nl.LinkSetAlias(link, p.Alias()); err != nil {
		return nil, classify("name link "+p.HostLink, err)
	}
	if hasIPv6() { // a port has no address of its own
		if _, err := setSysctl(Sysctl{"net/ipv6/conf/" + p.HostLink + "/disable_ipv6", "1"}); err != nil {
			return nil, err
		}
	}
	if err := h.nl.LinkSetMaster(link, bridge); err != nil {
		return nil, classify("make "+p.HostLink+" a port of "+p.Bridge, err)
	}
	return link, h.makePort(p, link)
}

// makePort sets the flags of a port and its one entry of the bridge's table.
func (h *Host) makePort(p Plan, link netlink.Link) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(link.Attrs().Index)
	req.AddData(msg)
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	for _, f := range portFlags() {
		value := []byte{0}
		if f.on {
			value[0] = 1
		}
		info.AddRtAttr(f.attr, value)
	}
	info.AddRtAttr(brportGroupFwdMask, nl.Uint16Attr(forwardLLDP))
	req.AddData(info)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return classify("set port "+p.HostLink, err)
	}
	err := h.nl.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE,
		Flags: netlink.NTF_MASTER, State: netlink.NUD_NOARP, HardwareAddr: p.MAC})
	return classify("enter "+p.MAC.String()+" for port "+p.HostLink, err)
}

// inside is the network namespace of a VPS.
type inside struct {
	fd int
	nl *netlink.Handle
}

// openInside opens the network namespace of pid, which must not be the host's.
func openInside(pid int) (*inside, error) {
	fd, err := openNamespace(pid)
	if err != nil {
		return nil, err
	}
	handle, err := netlink.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	if err != nil {
		unix.Close(fd)
		return nil, classify("enter network namespace", err)
	}
	return &inside{fd, handle}, nil
}

func (n *inside) Close() {
	n.nl.Close()
	unix.Close(n.fd)
}

func (n *inside) loopback() error {
	lo, err := n.nl.LinkByName("lo")
	if err != nil {
		return classify("find lo", err)
	}
	return classify("bring up lo", n.nl.LinkSetUp(lo))
}

// addrGenModeEUI64 is IN6_ADDR_GEN_MODE_EUI64 (linux/if_link.h): the filters
// know the VPS's link-local address by its MAC.
const addrGenModeEUI64 = 0

func (n *inside) configure(p Plan) error {
	if err := n.loopback(); err != nil {
		return err
	}
	link, err := n.nl.LinkByName(p.Interface)
	if err != nil {
		return classify("find "+p.Interface, err)
	}
	if p.hasIPv6() {
		if err := n.nl.LinkSetIP6AddrGenMode(link, addrGenModeEUI64); err != nil {
			return classify("set link-local address", err)
		}
	}
	for _, a := range p.Addresses {
		if err := n.nl.AddrReplace(link, address(a)); err != nil {
			return classify("add address "+a.String(), err)
		}
	}
	if err := n.nl.LinkSetUp(link); err != nil {
		return classify("bring it up", err)
	}
	for _, g := range p.Gateways {
		if err := n.addGateway(link, g); err != nil {
			return err
		}
	}
	return nil
}

// addGateway makes g the way to everything.
func (n *inside) addGateway(link netlink.Link, g netip.Addr) error {
	all := net.IPNet{IP: make(net.IP, g.BitLen()/8), Mask: net.CIDRMask(0, g.BitLen())}
	route := netlink.Route{LinkIndex: link.Attrs().Index, Dst: &all, Gw: g.AsSlice(), Protocol: unix.RTPROT_BOOT}
	return classify("add route via "+g.String(), n.nl.RouteReplace(&route))
}

// ensurePorts gives running VPSs back what somebody flushed.
func (h *Host) ensurePorts(_ context.Context, p HostPlan) error {
	if len(p.Ports) == 0 {
		return nil
	}
	bridge, err := h.nl.LinkByName(p.Bridge)
	if err != nil {
		return classify("find bridge "+p.Bridge, err)
	}
	known, err := h.known(bridge.Attrs().Index)
	if err != nil {
		return err
	}
	for _, port := range p.Ports {
		if known.has(port, bridge.Attrs().Index) {
			continue
		}
		link, err := h.nl.LinkByName(port.HostLink)
		if isNotFound(err) || err == nil && (link.Attrs().Alias != port.Alias() || link.Attrs().MasterIndex != bridge.Attrs().Index) {
			continue // it is not running, or is being plugged in
		}
		if err != nil {
			return classify("find link "+port.HostLink, err)
		}
		if err := errors.Join(h.admit(port), h.introduce(port, bridge), h.makePort(port, link)); err != nil {
			return err
		}
	}
	return nil
}

// known is what the kernel has of all ports: elements, neighbours.
type known map[string]bool

func (h *Host) known(bridge int) (known, error) {
	k := known{}
	for _, set := range []string{setMAC, setIPv4, setIPv6} {
		elements, err := h.nft.GetSetElements(setNamed(set))
		if err != nil {
			return nil, classify("list set "+set, err)
		}
		for _, e := range elements {
			k[set+string(e.Key)] = true
		}
	}
	for _, list := range []func(int, int) ([]netlink.Neigh, error){h.nl.NeighList, h.nl.NeighProxyList} {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			entries, err := list(bridge, family)
			if err != nil {
				return nil, classify("list neighbours", err)
			}
			for _, n := range entries {
				k[neighbourKey(n)] = true
			}
		}
	}
	return k, nil
}

func neighbourKey(n netlink.Neigh) string {
	return fmt.Sprintf("neighbour %s %s proxy=%t", n.IP, n.HardwareAddr, n.Flags&netlink.NTF_PROXY != 0)
}

func (k known) has(p Plan, bridge int) bool {
	for _, e := range p.elements() {
		if !k[e.set+string(e.key)] {
			return false
		}
	}
	for _, n := range p.neighbourEntries(bridge) {
		if !k[neighbourKey(n)] {
			return false
		}
	}
	return true
}
