package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
)

// Ensure makes the host match p. It changes nothing that is right. It puts back what another
// program flushed, for running VPSs too. After an error the finished steps stay, and the next
// call continues.
//
// Besides croft's own objects it changes three settings of the host, with a
// warning: it turns IPv4 and IPv6 forwarding on, and before that sets accept_ra
// from 1 to 2 where necessary, so that the host keeps its own IPv6 routes.
func (h *Host) Ensure(ctx context.Context, p network.HostPlan) error {
	if p.Mode == network.ModeNone {
		return nil
	}
	if p.IPv6 && !hasIPv6() {
		return fail.New(fail.Host, "network %q has IPv6 and the host's kernel has none", p.Network)
	}
	began, err := generation()
	noted := err == nil && p.HasFilter()
	if err := h.take(ctx, p, h.steps(p)); err != nil {
		return err
	}
	if !noted {
		return nil
	}
	return h.noteRightSince(began, p)
}

// EnsureAtStart is Ensure for a VPS of network t that starts. It reads no filters, rules and
// neighbours of other VPSs that were right and that nothing has changed since. So its cost does
// not grow with the number of VPSs, except for one list of the links. A bridge that has lost
// an address, a port or all its neighbours is noticed. A neighbour of another VPS that another
// program removed alone stays away until Ensure.
func (h *Host) EnsureAtStart(ctx context.Context, t network.Table) error {
	p := network.NewHostPlan(t)
	if !p.HasFilter() || !h.isRight(p) {
		return h.Ensure(ctx, p)
	}
	if intact, err := h.intact(p); err != nil || !intact {
		return errors.Join(err, h.Ensure(ctx, p))
	}
	return h.take(ctx, p, h.quickSteps(p))
}

func (h *Host) take(ctx context.Context, p network.HostPlan, steps []func(context.Context, network.HostPlan) error) error {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return classify("set up network "+p.Network, err)
		}
		if err := step(ctx, p); err != nil {
			return fmt.Errorf("set up network %s: %w", p.Network, err)
		}
	}
	return nil
}

// quickSteps are those that are left for a network whose filters and rules are right.
func (h *Host) quickSteps(p network.HostPlan) []func(context.Context, network.HostPlan) error {
	steps := []func(context.Context, network.HostPlan) error{h.checkLinks,
		func(ctx context.Context, _ network.HostPlan) error { return h.claimNamespace(ctx) }}
	if p.Routes() { // also if they are not needed now: a host that has lost its tools says so at once
		steps = append(steps, func(context.Context, network.HostPlan) error { return checkTools(p.IPv6) })
	}
	if p.Bridge != "" && !p.Foreign {
		steps = append(steps, h.ensureBridge)
	} else {
		steps = append(steps, h.ensureSysctls)
	}
	if p.Routes() {
		steps = append(steps, h.ensureForwarding)
	}
	return steps
}

// steps are what Ensure does for a network of this kind.
func (h *Host) steps(p network.HostPlan) []func(context.Context, network.HostPlan) error {
	var steps []func(context.Context, network.HostPlan) error
	if p.Routes() {
		steps = append(steps, func(context.Context, network.HostPlan) error { return checkTools(p.IPv6) })
	}
	steps = append(steps, h.checkLinks)
	if p.HasFilter() {
		steps = append(steps, func(ctx context.Context, _ network.HostPlan) error { return h.claimNamespace(ctx) })
		steps = append(steps, h.ensureFilter) // before a link is up
	}
	if p.Bridge != "" && !p.Foreign {
		steps = append(steps, h.ensureBridge)
	} else {
		steps = append(steps, h.ensureSysctls)
	}
	if p.Routes() {
		steps = append(steps, h.ensureRules, // before forwarding is on
			h.ensureForwarding)
	}
	return append(steps, h.ensurePorts)
}

// checkLinks refuses with fail.State a network whose foreign bridge or parent is
// not there. The parent of a physical network may be inside a VPS.
func (h *Host) checkLinks(_ context.Context, p network.HostPlan) error {
	if p.Bridge != "" && !p.Foreign {
		if _, err := h.bridge(p); err != nil && !isNotFound(err) {
			return err
		}
	}
	if p.Foreign {
		link, err := h.nl.LinkByName(p.Bridge)
		if isNotFound(err) {
			return fail.New(fail.State, "bridge %s is not there", p.Bridge).WithHint("ip link show type bridge")
		}
		if err != nil {
			return classify("find bridge "+p.Bridge, err)
		}
		if _, ok := link.(*netlink.Bridge); !ok {
			return fail.New(fail.State, "link %s is not a bridge (%s)", p.Bridge, link.Type())
		}
	}
	if p.Parent == "" || p.Mode == network.ModePhysical {
		return nil
	}
	_, err := h.nl.LinkByName(p.Parent)
	if isNotFound(err) {
		return fail.New(fail.State, "link %s is not there", p.Parent).WithHint("ip link show")
	}
	return classify("find link "+p.Parent, err)
}

func (h *Host) ensureSysctls(_ context.Context, p network.HostPlan) error {
	for _, s := range p.Sysctls {
		if !hasIPv6() && strings.HasPrefix(s.Key, "net/ipv6/") {
			continue
		}
		if _, err := setSysctl(s); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) ensureBridge(ctx context.Context, p network.HostPlan) error {
	link, err := h.bridge(p)
	if isNotFound(err) {
		loadModules(ctx) // once in the life of a host, not at every start
		link, err = h.makeBridge(p)
	}
	if err != nil {
		return err
	}
	if link.Attrs().Alias != p.Alias() {
		if err := h.nl.LinkSetAlias(link, p.Alias()); err != nil {
			return classify("name bridge "+p.Bridge, err)
		}
	}
	if link.Attrs().HardwareAddr.String() != p.MAC.String() {
		if err := h.nl.LinkSetHardwareAddr(link, p.MAC); err != nil {
			return classify("set the MAC of bridge "+p.Bridge, err)
		}
	}
	if p.MTU > 0 && link.Attrs().MTU != p.MTU {
		if err := h.nl.LinkSetMTU(link, p.MTU); err != nil {
			return classify("set the MTU of bridge "+p.Bridge, err)
		}
	}
	if err := h.ensureSysctls(ctx, p); err != nil {
		return err
	}
	if err := h.guardBridge(link); err != nil {
		return err
	}
	if err := h.ensureAddresses(link, p.Addresses); err != nil {
		return err
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return classify("bring up bridge "+p.Bridge, h.nl.LinkSetUp(link))
	}
	return nil
}

// bridge returns the bridge of p. It is fail.Taken if another owner has a link
// of that name. A link without an alias belongs to croft: its creator was
// killed before it could set the alias.
func (h *Host) bridge(p network.HostPlan) (netlink.Link, error) {
	link, err := h.nl.LinkByName(p.Bridge)
	if err != nil {
		return nil, err
	}
	if _, ok := link.(*netlink.Bridge); !ok {
		return nil, fail.New(fail.Taken, "link %s is not a bridge (%s)", p.Bridge, link.Type())
	}
	if alias := link.Attrs().Alias; alias != "" && alias != p.Alias() {
		return nil, fail.New(fail.Taken, "bridge %s belongs to %q", p.Bridge, alias)
	}
	return link, nil
}

func (h *Host) makeBridge(p network.HostPlan) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = p.Bridge, p.MAC, p.MTU
	snooping := false // nothing is flooded to anybody: there is nothing to learn
	err := h.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, classify("make bridge "+p.Bridge, err)
	}
	return h.bridge(p)
}

// missingAddresses returns those of want that the link does not have.
func (h *Host) missingAddresses(link netlink.Link, want []netip.Prefix) ([]netip.Prefix, error) {
	list, err := undisturbed(func() ([]netlink.Addr, error) { return h.nl.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, classify("list addresses of "+link.Attrs().Name, err)
	}
	have := map[string]bool{}
	for _, a := range list {
		have[a.IPNet.String()] = true
	}
	return slices.DeleteFunc(slices.Clone(want), func(p netip.Prefix) bool { return have[ipNet(p).String()] }), nil
}

func (h *Host) ensureAddresses(link netlink.Link, want []netip.Prefix) error {
	missing, err := h.missingAddresses(link, want)
	if err != nil {
		return err
	}
	for _, p := range missing {
		if err := h.nl.AddrReplace(link, address(p)); err != nil {
			return classify(fmt.Sprintf("add address %s to %s", p, link.Attrs().Name), err)
		}
	}
	return nil
}

// address is p as the kernel is told; no duplicate detection, since the table
// is what says whose an address is, and it would delay the first packet. A
// link-local IPv4 one, the gateway of routed VPSs, is nothing that the host
// should send from: it answers for it and no more.
func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(p)}
	switch {
	case p.Addr().Is6():
		a.Flags = unix.IFA_F_NODAD
	case vps.NeedsOnLink(p.Addr()):
		a.Scope = unix.RT_SCOPE_HOST
	}
	return a
}

// ensureForwarding makes the host a router, which packets between VPSs need
// as well as those to the outside.
func (h *Host) ensureForwarding(_ context.Context, p network.HostPlan) error {
	changed, err := setSysctl(network.Sysctl{Key: "net/ipv4/ip_forward", Value: "1"})
	if err != nil {
		return err
	}
	if changed {
		h.warn("IPv4 forwarding was off on this host and is on now (net.ipv4.ip_forward)")
	}
	if !p.IPv6 {
		return nil
	}
	if changed, err = setSysctl(network.Sysctl{Key: "net/ipv6/conf/all/forwarding", Value: "1"}); changed {
		h.warn("IPv6 forwarding was off on this host and is on now (net.ipv6.conf.all.forwarding)")
	}
	return err
}

// Remove removes the network from the host: its bridge, its rules, and the
// parts that networks share if this was the last one. No-op for missing parts,
// and if another state directory has its networks here. Sysctls of the host
// stay, because other programs may rely on them. VPSs in the network lose it.
func (h *Host) Remove(ctx context.Context, p network.HostPlan) error {
	if p.Mode == network.ModeNone {
		return nil
	}
	if other, err := h.otherOwner(); err != nil || other != "" {
		return err // the networks here belong to the other state directory
	}
	if p.Bridge != "" && !p.Foreign {
		link, err := h.bridge(p)
		if err == nil {
			err = h.nl.LinkDel(link)
		}
		if err != nil && !isNotFound(err) && !fail.Is(err, fail.Taken) { // a link of others stays
			return classify("remove bridge "+p.Bridge, err)
		}
	}
	for _, port := range p.Ports {
		if err := h.Unplug(ctx, port); err != nil {
			return err
		}
	}
	unlock, err := h.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if !p.HasFilter() {
		return nil
	}
	return errors.Join(h.removeRules(ctx, p), h.removeFilter(p), h.releaseNamespace())
}

func isNotFound(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, unix.ENODEV)
}

func isAbsent(err error) bool { return errors.Is(err, unix.ENOENT) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
