package hostcheck

import (
	"fmt"
	"strings"
)

func networkRules() []rule {
	return []rule{links, filters, guard, iptables, rates, forwarding, firewalls, modules, devices, ownFiles}
}

func links(f Facts) []Check {
	return tried(Missing, "bridges and veth", "networks of VPSs", f.Network.LinksWhy, "modprobe -a bridge veth")
}

func filters(f Facts) []Check {
	return tried(Missing, "nftables for bridges", "keeping VPSs from others' addresses and traffic", f.Network.FilterWhy, "modprobe -a nf_tables nft_meta_bridge")
}

// guard checks the programs that stay when another program flushes the filters.
func guard(f Facts) []Check {
	return tried(Warning, "network guard", "holding VPSs to their addresses while nftables is flushed", f.Network.GuardWhy, "modprobe -a sch_ingress cls_bpf")
}

// iptables is for every network but those without anything outside.
func iptables(f Facts) []Check {
	const name, what = "iptables", "letting VPSs out, NAT, and firewalls of VPSs"
	if f.Network.IPTables == "" {
		return bad(Missing, name, what, "not installed", f.install([5]string{"iptables", "iptables-nft", "iptables", "iptables-nft", "iptables"}))
	}
	if f.Network.RulesWhy != "" {
		return bad(Missing, name, what, f.Network.IPTables+": "+f.Network.RulesWhy, "modprobe -a ip_tables iptable_filter iptable_nat nft_compat xt_conntrack xt_MASQUERADE")
	}
	return good(name, what, f.Network.IPTables)
}

func rates(f Facts) []Check {
	return tried(Warning, "network rates", "limits of what a VPS's network carries (--rate)", f.Network.RatesWhy,
		"modprobe -a sch_tbf sch_ingress cls_u32 act_mirred && modprobe ifb numifbs=0")
}

func forwarding(f Facts) []Check {
	const name, what = "forwarding", "traffic between VPSs, and to the outside"
	on := func(b bool) string {
		if b {
			return "on"
		}
		return "off until the first VPS starts"
	}
	if !f.Network.IPv6 {
		return bad(Warning, name, what, "IPv4 "+on(f.Network.Forwarding4)+"; the kernel has no IPv6: nor have VPSs", "boot without ipv6.disable=1")
	}
	return good(name, what, fmt.Sprintf("IPv4 %s; IPv6 %s", on(f.Network.Forwarding4), on(f.Network.Forwarding6)))
}

// firewalls has a line for each that is in the way.
func firewalls(f Facts) []Check {
	const name, what = "firewalls", "others must not drop what VPSs send and get"
	var all []Check
	for _, b := range f.Network.Blockers {
		all = append(all, bad(Warning, name, what, b.Who+" drops it", b.Remedy)...)
	}
	if all == nil {
		return good(name, what, "none is in the way")
	}
	return all
}

func modules(f Facts) []Check {
	const name, what = "kernel modules", "what VPSs may use and cannot load themselves"
	switch {
	case !f.Network.Modules:
		return good(name, what, "this kernel loads none: what is not built in, VPSs do without")
	case len(f.Network.Unavailable) > 0:
		return bad(Warning, name, what, "no "+strings.Join(f.Network.Unavailable, ", "),
			f.install([5]string{"linux-image-$(dpkg --print-architecture)", "kernel-modules-extra kmod", "linux-lts kmod", "linux kmod", "kernel-default kmod"}))
	}
	return good(name, what, "all can be had")
}

func ownFiles(f Facts) []Check {
	const name, what = "own /proc", "memory, CPUs and load that VPSs see are their own"
	if f.OwnFilesWhy != "" {
		return bad(Warning, name, what, "VPSs see those of the host ("+f.OwnFilesWhy+")", "modprobe fuse")
	}
	return good(name, what, "can be made")
}

func devices(f Facts) []Check {
	const name, what = "devices", "tunnels (/dev/net/tun) and file systems (/dev/fuse) in VPSs"
	if len(f.Devices) > 0 {
		return bad(Warning, name, what, "no "+strings.Join(f.Devices, ", "), "modprobe -a tun fuse")
	}
	if f.NodeWhy != "" && len(f.Closed) > 0 { // else VPSs have nodes of their own
		return bad(Warning, name, what, "VPSs have the host's nodes, and cannot open them ("+f.NodeWhy+")", "chmod 666 "+strings.Join(f.Closed, " "))
	}
	return good(name, what, "there")
}
