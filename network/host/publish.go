package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/network"
)

// Publish makes the host's translation rules match all: VPSs whose interface is
// plugged in get their rules, others lose theirs. It changes nothing else, and
// nothing that is right, so every start calls it to put back flushed rules.
// Each family changes at one instant.
//
// Existing connections continue. UDP has no connections that end, so the host
// forgets where its packets went, and the next packet takes the new way.
func (h *Host) Publish(ctx context.Context, all []network.Published) error {
	if len(all) == 0 {
		return nil
	}
	for _, six := range families() {
		if err := h.publish(ctx, six, all); err != nil {
			return fmt.Errorf("publish ports: %w", err)
		}
	}
	return nil
}

func (h *Host) publish(ctx context.Context, six bool, all []network.Published) error {
	change, err := h.publishChanges(ctx, six, all)
	if err != nil {
		return err
	}
	if change.Text != "" {
		unlock, err := h.lock(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		// Again, with the lock held. A process that unplugs an interface
		// meanwhile removes its rules after this one.
		if change, err = h.publishChanges(ctx, six, all); err != nil {
			return err
		}
	}
	if err := h.reachFromLoopback(change, all); err != nil {
		return err
	}
	if change.Text != "" {
		if _, err := runFilterTool(ctx, six, "restore", change.Text, "--noflush", "-w", fmt.Sprint(lockSeconds)); err != nil {
			return err
		}
	}
	return h.forgetUDP(change)
}

func (h *Host) publishChanges(ctx context.Context, six bool, all []network.Published) (network.PublishChange, error) {
	out, err := runFilterTool(ctx, six, "save", "", "-t", "nat")
	if err != nil {
		return network.PublishChange{}, err
	}
	var plugged []network.Published
	for _, p := range all {
		link, err := h.nl.LinkByName(p.Plan.HostLink)
		switch {
		case isNotFound(err) || err == nil && link.Attrs().Alias != p.Plan.Alias():
			p.Ports = nil
		case err != nil:
			return network.PublishChange{}, classify("find link "+p.Plan.HostLink, err)
		}
		plugged = append(plugged, p)
	}
	return network.PublishChanges(six, network.ParseSavedRules(out), plugged), nil
}

// Unpublish removes the rules that lead to a VPS. No-op without rules.
func (h *Host) Unpublish(ctx context.Context, p network.Plan) error {
	return h.Publish(ctx, []network.Published{{Plan: p}})
}

// Published describes which ports of p the kernel has rules for.
func (h *Host) Published(ctx context.Context, p network.Published) (network.PublishedInfo, error) {
	there := map[bool]network.SavedRules{}
	for _, six := range families() {
		out, err := runFilterTool(ctx, six, "save", "", "-t", "nat")
		if err != nil {
			return network.PublishedInfo{}, fmt.Errorf("look at published ports: %w", err)
		}
		there[six] = network.ParseSavedRules(out)
	}
	return p.LiveInfo(there), nil
}

// reachFromLoopback lets answers to the host's loopback address in, by the
// links of VPSs that are reached from there, and by no other. What a VPS sends
// to that address itself the filter at its port drops, and to ::1 the kernel
// (ip6_rcv_core, net/ipv6/ip6_input.c).
//
// IPv6 has no route_localnet. But a packet that the translation gave the
// destination ::1 is looked up strictly, by the link that it came from
// (rt6_need_strict, net/ipv6/route.c): a local route there is all it takes.
func (h *Host) reachFromLoopback(change network.PublishChange, all []network.Published) error {
	seen := map[string]bool{}
	for _, p := range all {
		device := p.Device()
		if seen[device] {
			continue
		}
		seen[device] = true
		on := network.FromLoopback(change.After, p.Plan.Network)
		if err := h.setLoopback(device, change.Six, on); err != nil {
			return err
		}
	}
	if len(change.After) > 0 {
		return h.keepFromBridges()
	}
	return nil
}

func (h *Host) setLoopback(device string, six, on bool) error {
	link, err := h.nl.LinkByName(device)
	if isNotFound(err) {
		return nil // its settings have gone with it
	}
	if err != nil {
		return classify("find link "+device, err)
	}
	if !six {
		value := "0"
		if on {
			value = "1"
		}
		_, err := setSysctl(network.Sysctl{Key: "net/ipv4/conf/" + device + "/route_localnet", Value: value})
		return err
	}
	route := netlink.Route{LinkIndex: link.Attrs().Index, Family: unix.AF_INET6, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL,
		Priority: network.LoopbackMetric, Protocol: unix.RTPROT_BOOT, Dst: ipNet(netip.PrefixFrom(netip.IPv6Loopback(), 128))}
	if on {
		err = h.nl.RouteReplace(&route)
	} else if err = h.nl.RouteDel(&route); errors.Is(err, unix.ESRCH) {
		err = nil
	}
	return classify("set the route from "+device+" to ::1", err)
}

// keepFromBridges turns the calls of br_netfilter to iptables off. With them, a
// packet whose translated destination is on the bridge that it came from counts
// as bridged, and ports are isolated (br_nf_pre_routing_finish,
// net/bridge/br_netfilter_hooks.c). On is the kernel's default and seldom
// wanted. If the host has other bridges, their owner may rely on it, so it
// stays.
func (h *Host) keepFromBridges() error {
	var on []string
	for _, key := range bridgeCalls() {
		if v, err := readSysctl(key); err == nil && v != "0" {
			on = append(on, key)
		}
	}
	if len(on) == 0 {
		return nil
	}
	others, err := h.otherBridges()
	if err != nil {
		return err
	}
	if len(others) > 0 {
		h.warn(fmt.Sprintf("ports published by VPSs on a bridge cannot be reached from VPSs on it or from ::1 while %s is 1; croft left it, because %s may need it",
			strings.ReplaceAll(on[0], "/", "."), strings.Join(others, ", ")))
		return nil
	}
	for _, key := range on {
		if _, err := setSysctl(network.Sysctl{Key: key, Value: "0"}); err != nil {
			return err
		}
	}
	h.warn("disabled net.bridge.bridge-nf-call-iptables and -ip6tables on this host, as published ports need. " +
		"This matters only if your own iptables rules filter traffic between ports of one bridge. To undo: sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1")
	return nil
}

// bridgeCalls are the settings of br_netfilter, absent where it is.
func bridgeCalls() []string {
	return []string{"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"}
}

// otherBridges are those that croft has not made.
func (h *Host) otherBridges() ([]string, error) {
	links, err := undisturbed(h.nl.LinkList)
	if err != nil {
		return nil, classify("list links", err)
	}
	var names []string
	for _, l := range links {
		if _, ok := l.(*netlink.Bridge); ok && !strings.HasPrefix(l.Attrs().Alias, "croft ") {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

// A flowFilter matches the connections of UDP to ports of the host's own.
type flowFilter struct {
	host  []netip.Addr
	specs []string
}

// MatchConntrackFlow is what netlink's ConntrackDeleteFilters asks.
func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	to, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	if !ok || flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	to = to.Unmap()
	own := to.IsLoopback()
	for _, a := range f.host {
		own = own || a == to
	}
	for _, spec := range f.specs {
		first, last := network.PortsOf(spec)
		if own && first <= flow.Forward.DstPort && flow.Forward.DstPort <= last {
			return true
		}
	}
	return false
}

func (h *Host) forgetUDP(change network.PublishChange) error {
	if len(change.UDP) == 0 {
		return nil
	}
	host, err := h.Addresses()
	if err != nil {
		return err
	}
	family := netlink.InetFamily(unix.AF_INET)
	if change.Six {
		family = unix.AF_INET6
	}
	_, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, flowFilter{host, change.UDP})
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil // other flows came and went; the listed ones include all of croft's
	}
	return classify("forget connections of UDP", err)
}

// moduleBridgeCalls turns off the settings of the module br_netfilter if croft,
// and not the host's owner, has loaded it.
func moduleBridgeCalls() {
	for _, key := range bridgeCalls() {
		if _, err := os.Stat(filepath.Join(procSys, key)); err == nil {
			_, _ = setSysctl(network.Sysctl{Key: key, Value: "0"})
		}
	}
}
