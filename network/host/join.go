package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/network"
)

// Join gives a running VPS an interface more: Plug, but a no-op if it has the interface.
// fail.Taken: the VPS has made a link of that name itself. fail.State: the mode is
// physical, whose links move at a start only.
func (h *Host) Join(ctx context.Context, p network.Plan, init inside.Identity) error {
	if p.Mode == network.ModePhysical {
		return movesAtStart(p)
	}
	ns, err := enterNamespace(init)
	if err != nil {
		return err
	}
	defer ns.Close()
	link, err := ns.nl.LinkByName(p.Interface)
	switch {
	case isNotFound(err), p.Mode == network.ModeNone:
		return h.Plug(ctx, p, init)
	case err != nil:
		return classify("find "+p.Interface, err)
	case p.HasPort() && h.isPort(p), isMACVLANOf(link, p):
		return nil
	}
	return fail.New(fail.Taken, "%s has made an interface %s itself", p.Owner, p.Interface)
}

// isPort reports whether the host's end of the interface is there.
func (h *Host) isPort(p network.Plan) bool {
	link, err := h.nl.LinkByName(p.HostLink)
	return err == nil && link.Attrs().Alias == p.Alias()
}

func isMACVLANOf(link netlink.Link, p network.Plan) bool {
	return p.Mode == network.ModeMACVLAN && link.Type() == "macvlan" && link.Attrs().HardwareAddr.String() == p.MAC.String()
}

// Leave takes an interface from a running VPS, and everything about it from the host.
// No-op for missing parts. fail.State: the mode is physical, whose links move at a
// start only.
func (h *Host) Leave(ctx context.Context, p network.Plan, init inside.Identity) error {
	switch p.Mode {
	case network.ModePhysical:
		return movesAtStart(p)
	case network.ModeMACVLAN:
		return h.removeMACVLAN(p, init)
	}
	return h.Unplug(ctx, p)
}

// removeMACVLAN removes the interface inside. The VPS may have renamed it.
func (h *Host) removeMACVLAN(p network.Plan, init inside.Identity) error {
	ns, err := enterNamespace(init)
	if err != nil {
		return err
	}
	defer ns.Close()
	links, err := undisturbed(ns.nl.LinkList)
	if err != nil {
		return classify("list interfaces", err)
	}
	for _, link := range links {
		if !isMACVLANOf(link, p) {
			continue
		}
		if err := ns.nl.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			return classify(fmt.Sprintf("remove %s of %s", link.Attrs().Name, p.Owner), err)
		}
	}
	return nil
}

func movesAtStart(p network.Plan) error {
	return fail.New(fail.State, "network %s gives a VPS the link %s when it starts: stop %s first", p.Network, p.Parent, p.Owner)
}
