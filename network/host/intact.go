package host

import (
	"encoding/binary"
	"errors"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"croft/network"
)

// intact reports whether the bridge of p has its addresses, all ports that are up, and the
// neighbours of one of them: the kernel removes all neighbours with the last address of the
// bridge, and when it goes down. The filters are another matter: see isRight.
func (h *Host) intact(p network.HostPlan) (bool, error) {
	if p.Mode != network.ModeBridge {
		return true, nil
	}
	bridge, err := h.nl.LinkByName(p.Bridge)
	if err != nil {
		return false, classify("find bridge "+p.Bridge, err)
	}
	missing, err := h.missingAddresses(bridge, p.Addresses)
	if err != nil || len(missing) > 0 {
		return false, err
	}
	placed, some, err := h.placed(p, bridge.Attrs().Index)
	if err != nil || !placed || some == nil {
		return placed, err
	}
	for _, n := range some.Neighbours() {
		if there, err := h.hasNeighbour(n); err != nil || !there {
			return false, err
		}
	}
	return true, nil
}

// skipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h (kernel 4.4).
const skipStats = 1 << 3

// placed reports whether the links of all ports of p that are up belong to the bridge with
// this index, and returns one of them; nil without any. It reads one list of the links, and of
// each link three attributes.
func (h *Host) placed(p network.HostPlan, bridge int) (bool, *network.Plan, error) {
	if len(p.Ports) == 0 {
		return true, nil, nil
	}
	ports := map[string]network.Plan{}
	for _, port := range p.Ports {
		ports[port.HostLink] = port
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)))
	links, err := undisturbed(func() ([][]byte, error) { return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK) })
	if err != nil {
		return false, nil, classify("list links", err)
	}
	var some *network.Plan
	for _, data := range links {
		name, alias, master, err := attributesOf(data)
		if err != nil {
			return false, nil, classify("list links", err)
		}
		port, known := ports[name]
		if !known || alias != port.Alias() || nl.DeserializeIfInfomsg(data).Flags&unix.IFF_UP == 0 {
			continue
		}
		if master != bridge {
			return false, nil, nil
		}
		some = &port
	}
	return true, some, nil
}

// attributesOf returns three attributes of a link in the kernel's list.
func attributesOf(link []byte) (name, alias string, master int, err error) {
	attrs, err := nl.ParseRouteAttr(link[unix.SizeofIfInfomsg:])
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFLA_IFNAME:
			name = unix.ByteSliceToString(a.Value)
		case unix.IFLA_IFALIAS:
			alias = unix.ByteSliceToString(a.Value)
		case unix.IFLA_MASTER:
			master = int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return name, alias, master, err
}

// hasNeighbour asks the kernel for one entry (RTM_GETNEIGH, kernel 5.0).
func (h *Host) hasNeighbour(n network.Neighbour) (bool, error) {
	link, err := h.nl.LinkByName(n.Link)
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, classify("find link "+n.Link, err)
	}
	msg := netlink.Ndmsg{Family: uint8(familyOf(n.Addr)), Index: uint32(link.Attrs().Index)}
	if n.Proxy {
		msg.Flags = netlink.NTF_PROXY
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.AddData(&msg)
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, n.Addr.AsSlice()))
	_, err = req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, classify("look for neighbour "+n.Addr.String(), err)
}
