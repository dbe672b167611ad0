package host

import (
	"fmt"

	"github.com/vishvananda/netlink"

	"croft/internal/fail"
	"croft/network"
)

func (h *Host) parent(p network.Plan) (netlink.Link, error) {
	link, err := h.nl.LinkByName(p.Parent)
	if isNotFound(err) {
		return nil, fail.New(fail.State, "network %q: link %s is not there", p.Network, p.Parent).WithHint("ip link show")
	}
	return link, classify("find link "+p.Parent, err)
}

// makeMACVLAN makes an interface of the LAN that the parent is on, in the VPS
// from the beginning. It ends with the VPS.
func (h *Host) makeMACVLAN(p network.Plan, ns *namespace) error {
	parent, err := h.parent(p)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = p.Interface, p.MTU, p.MAC
	attrs.ParentIndex, attrs.Namespace = parent.Attrs().Index, netlink.NsFd(int(ns.fd.Fd()))
	mode := netlink.MACVLAN_MODE_BRIDGE
	if p.Private {
		mode = netlink.MACVLAN_MODE_PRIVATE
	}
	return classify(fmt.Sprintf("make %s of %s on %s", p.Interface, p.Owner, p.Parent),
		h.nl.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: mode}))
}
