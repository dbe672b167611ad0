package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// Plug gives the VPS, whose init waits, its interface. Filters and neighbours
// exist before the link, and the host's end goes up last. Remains of an earlier
// interface of that name are removed first. The network has to exist (Ensure).
// After an error nothing of it is left.
func (h *Host) Plug(ctx context.Context, p network.Plan, init inside.Identity) (err error) {
	ns, err := enterNamespace(init)
	if err != nil {
		return err
	}
	defer ns.Close()
	if p.Mode == network.ModeNone {
		return ns.loopback()
	}
	if err := h.checkPlace(p); err != nil {
		return err
	}
	if err := h.Unplug(ctx, p); err != nil {
		return fmt.Errorf("sweep what %s of %s left: %w", p.Interface, p.Owner, err)
	}
	if err := ctx.Err(); err != nil {
		return classify(fmt.Sprintf("plug %s of %s", p.Interface, p.Owner), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Unplug(context.WithoutCancel(ctx), p))
		}
	}()
	switch p.Mode {
	case network.ModeMACVLAN:
		err = h.makeMACVLAN(p, ns)
	case network.ModePhysical:
		err = h.moveLinkIn(p, ns)
	default:
		if err := h.plugPort(p, ns); err != nil {
			return err
		}
		h.announce(p, p.Addresses, init)
		return nil
	}
	if err != nil {
		return err
	}
	if err := ns.configure(p); err != nil {
		return fmt.Errorf("set up %s of %s: %w", p.Interface, p.Owner, err)
	}
	h.announce(p, p.Addresses, init)
	return nil
}

// checkPlace returns fail.State if the host cannot take the interface.
func (h *Host) checkPlace(p network.Plan) error {
	if p.Mode != network.ModeBridge {
		return nil
	}
	_, err := h.nl.LinkByName(p.Bridge)
	if isNotFound(err) {
		return fail.New(fail.State, "network %q is not there: bridge %s is missing", p.Network, p.Bridge)
	}
	return classify("find bridge "+p.Bridge, err)
}

// plugPort makes an interface whose other end is on the host.
func (h *Host) plugPort(p network.Plan, ns *namespace) error {
	if err := h.addFilterElements(p); err != nil {
		return err
	}
	if p.Mode == network.ModeBridge {
		if err := h.addNeighbours(p); err != nil {
			return err
		}
	}
	link, err := h.makePair(p, ns)
	if err != nil {
		return err
	}
	if p.Mode == network.ModeRouted {
		err = h.makeRouted(p, link)
	} else {
		err = errors.Join(h.makePort(p, link), h.setGuard(p, link))
	}
	if err != nil {
		return err
	}
	if err := h.shape(p, link, nil); err != nil {
		return err
	}
	if err := ns.configure(p); err != nil {
		return fmt.Errorf("set up %s of %s: %w", p.Interface, p.Owner, err)
	}
	if err := h.nl.LinkSetUp(link); err != nil {
		return classify("bring up "+p.HostLink, err)
	}
	if p.Mode == network.ModeRouted { // a link that is down has no routes and neighbours
		return h.addNeighbours(p)
	}
	return nil
}

// Unplug removes the interface and everything about it from the host. No-op for
// missing parts. A link of that name with another owner stays, and the error is
// fail.Taken.
func (h *Host) Unplug(_ context.Context, p network.Plan) error {
	if p.Mode == network.ModePhysical {
		return h.restoreLink(p)
	}
	if !p.HasPort() {
		return nil // it is gone with the VPS
	}
	link, err := h.nl.LinkByName(p.HostLink)
	switch {
	case isNotFound(err):
		// Its entries come before a link and go after all else of it.
		if there, err := h.hasEntries(p.HostLink); err != nil || !there {
			return err
		}
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
	if err := errors.Join(h.removeShaperLink(p), h.removeNeighbours(p, network.Plan{})); err != nil {
		return err
	}
	return h.removeFilterElements(p.Family(), p.HostLink)
}

// makePair makes the pair with its far end in the VPS from the beginning, so
// that it never has a name on the host.
func (h *Host) makePair(p network.Plan, ns *namespace) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = p.HostLink, p.MTU, p.HostMAC
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: p.Interface, PeerHardwareAddr: p.MAC,
		PeerNamespace: netlink.NsFd(int(ns.fd.Fd())), PeerMTU: uint32(p.MTU)}
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
	for _, s := range p.LinkSysctls() {
		if !hasIPv6() && strings.HasPrefix(s.Key, "net/ipv6/") {
			continue
		}
		if _, err := setSysctl(s); err != nil {
			return nil, err
		}
	}
	return link, nil
}

// makeRouted adds the filters to a link that is not a port of a bridge, and
// gives it the addresses of the gateways.
func (h *Host) makeRouted(p network.Plan, link netlink.Link) error {
	if err := h.addPortChains(p); err != nil {
		return err
	}
	for _, a := range p.LinkAddresses() {
		if err := h.nl.AddrReplace(link, address(a)); err != nil {
			return classify(fmt.Sprintf("add address %s to %s", a, p.HostLink), err)
		}
	}
	return nil
}

// makePort makes the link a port of its bridge.
func (h *Host) makePort(p network.Plan, link netlink.Link) error {
	bridge, err := h.nl.LinkByName(p.Bridge)
	if err != nil {
		return classify("find bridge "+p.Bridge, err)
	}
	if err := h.nl.LinkSetMaster(link, bridge); err != nil {
		return classify("make "+p.HostLink+" a port of "+p.Bridge, err)
	}
	return h.setPort(p, link)
}

// setPort sets the flags of a port and its one entry of the bridge's table,
// which is sticky: no other port's frames move it.
func (h *Host) setPort(p network.Plan, link netlink.Link) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(link.Attrs().Index)
	req.AddData(msg)
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	for _, f := range p.PortFlags() {
		value := []byte{0}
		if f.On {
			value[0] = 1
		}
		info.AddRtAttr(f.Attr, value)
	}
	info.AddRtAttr(network.BrportGroupFwdMask, nl.Uint16Attr(network.ForwardLLDP))
	req.AddData(info)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return classify("set port "+p.HostLink, err)
	}
	err := h.nl.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE,
		Flags: netlink.NTF_MASTER | ntfSticky, State: netlink.NUD_NOARP, HardwareAddr: p.MAC})
	return classify("enter "+p.MAC.String()+" for port "+p.HostLink, err)
}

// NTF_STICKY of linux/neighbour.h, kernel 4.20.
const ntfSticky = 0x40

// A namespace is the network namespace of a VPS.
type namespace struct {
	fd *os.File
	nl *netlink.Handle
}

// enterNamespace opens the network namespace of init, which must not be the
// host's. The caller closes it.
func enterNamespace(init inside.Identity) (*namespace, error) {
	fd, err := openNamespace(init)
	if err != nil {
		return nil, err
	}
	handle, err := netlink.NewHandleAt(netns.NsHandle(fd.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		fd.Close()
		return nil, classify("enter network namespace", err)
	}
	return &namespace{fd, handle}, nil
}

func (n *namespace) Close() {
	n.nl.Close()
	n.fd.Close()
}

func (n *namespace) loopback() error {
	lo, err := n.nl.LinkByName("lo")
	if err != nil {
		return classify("find lo", err)
	}
	return classify("bring up lo", n.nl.LinkSetUp(lo))
}

// addrGenModeEUI64 is IN6_ADDR_GEN_MODE_EUI64 (linux/if_link.h): the filters
// know the VPS's link-local address by its MAC.
const addrGenModeEUI64 = 0

func (n *namespace) configure(p network.Plan) error {
	if err := n.loopback(); err != nil {
		return err
	}
	link, err := n.nl.LinkByName(p.Interface)
	if err != nil {
		return classify("find "+p.Interface, err)
	}
	if p.HasIPv6() {
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
	for _, w := range p.DefaultRoutes() {
		if err := n.addWay(link, w); err != nil {
			return err
		}
	}
	return nil
}

// addWay adds a route that comes with the network.
func (n *namespace) addWay(link netlink.Link, w network.DefaultRoute) error {
	route := netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(w.To), Gw: w.Via.AsSlice(), Protocol: unix.RTPROT_BOOT}
	if vps.NeedsOnLink(w.Via) {
		route.Flags = int(netlink.FLAG_ONLINK)
	}
	return classify("add route via "+w.Via.String(), n.nl.RouteReplace(&route))
}
