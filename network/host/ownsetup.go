package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/network"
)

// CheckOwnSetup is fail.State if the network namespace of init has something that Plug
// with plans does not make: an interface, an address, a route, a rule or a filter.
func (h *Host) CheckOwnSetup(_ context.Context, plans []network.Plan, init inside.Identity) error {
	ns, err := enterNamespace(init)
	if err != nil {
		return err
	}
	defer ns.Close()
	for _, check := range []func([]network.Plan) error{ns.checkLinks, ns.checkAddresses, ns.checkRoutes} {
		if err := check(plans); err != nil {
			return err
		}
	}
	if err := ns.checkFilters(); err != nil {
		return err
	}
	return checkOldFilters(init)
}

// made is the error for something that the VPS has made itself.
func made(what string) error {
	return fail.New(fail.State, "it has made %s itself: croft does not save that", what)
}

// fallbacks begin the names of interfaces that the kernel makes in each namespace when it
// loads a module of tunnels. They are down.
var fallbacks = []string{"tunl", "gre", "gretap", "erspan", "ip_vti", "ip6_vti", "sit", "ip6tnl", "ip6gre"}

func (n *namespace) checkLinks(plans []network.Plan) error {
	links, err := n.nl.LinkList()
	if err != nil {
		return classify("list interfaces", err)
	}
	for _, l := range links {
		name := l.Attrs().Name
		ours := name == "lo" || slices.ContainsFunc(plans, func(p network.Plan) bool { return p.Interface == name })
		fallback := slices.ContainsFunc(fallbacks, func(f string) bool { return name == f+"0" })
		if !ours && (!fallback || l.Attrs().Flags&net.FlagUp != 0) {
			return made("the interface " + name)
		}
	}
	return nil
}

func (n *namespace) checkAddresses(plans []network.Plan) error {
	addresses, err := n.nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return classify("list addresses", err)
	}
	for _, a := range addresses {
		prefix, ok := prefixOf(a.IPNet)
		if !ok || prefix.Addr().IsLoopback() || prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		if !slices.ContainsFunc(plans, func(p network.Plan) bool { return slices.Contains(p.Addresses, prefix) }) {
			return made("the address " + prefix.String())
		}
	}
	return nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits), true
}

// usualRules are the priorities of the rules that each namespace has (ip-rule(8)).
var usualRules = []int{0, 32766, 32767}

func (n *namespace) checkRoutes(plans []network.Plan) error {
	rules, err := n.nl.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return classify("list rules", err)
	}
	for _, r := range rules {
		if !slices.Contains(usualRules, max(r.Priority, 0)) {
			return made(fmt.Sprintf("the routing rule %d", r.Priority))
		}
	}
	routes, err := n.nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return classify("list routes", err)
	}
	for _, r := range routes {
		if r.Protocol == unix.RTPROT_KERNEL || r.Protocol == unix.RTPROT_RA || r.Table == unix.RT_TABLE_LOCAL || r.Type != unix.RTN_UNICAST {
			continue
		}
		if !isDefault(r, plans) {
			return made(fmt.Sprintf("the route %v", r.Dst))
		}
	}
	return nil
}

// isDefault reports whether r comes with one of the networks.
func isDefault(r netlink.Route, plans []network.Plan) bool {
	gateway, _ := netip.AddrFromSlice(r.Gw)
	for _, p := range plans {
		for _, w := range p.DefaultRoutes() {
			to := netip.PrefixFrom(unspecified(w.To.Addr()), 0)
			if r.Dst != nil {
				to, _ = prefixOf(r.Dst)
			}
			if to == w.To && (gateway.Unmap() == w.Via || len(r.Gw) == 0) {
				return true
			}
		}
	}
	return false
}

func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// checkFilters looks for rules of nftables. Tables and chains without rules are of no
// effect, unless they drop by default.
func (n *namespace) checkFilters() error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.fd.Fd())))
	if err != nil {
		return classify("reach nftables", err)
	}
	chains, err := conn.ListChains()
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return classify("list filters", err)
	}
	for _, c := range chains {
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			return classify("list filters", err)
		}
		if len(rules) > 0 || c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
			return made(fmt.Sprintf("filter rules (table %s, chain %s)", c.Table.Name, c.Name))
		}
	}
	return nil
}

// checkOldFilters looks for tables of the iptables of before nftables.
func checkOldFilters(init inside.Identity) error {
	for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", init.PID, file))
		if err == nil && len(text) > 0 {
			return made("filter rules (iptables-legacy)")
		}
	}
	return nil
}

// networkSysctls is where the settings of the network namespace of the calling thread are.
const networkSysctls = "/proc/sys/net"

// Sysctls returns the settings of the network namespace of init, by their paths below
// /proc/sys. Those that cannot be read or written are left out.
func (h *Host) Sysctls(init inside.Identity) (all map[string]string, err error) {
	all = map[string]string{}
	err = within(init, func() error {
		return filepath.WalkDir(networkSysctls, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // an interface that has just gone
			}
			info, err := d.Info()
			if err != nil || info.Mode()&0o600 != 0o600 {
				return nil
			}
			if text, err := os.ReadFile(path); err == nil {
				all[strings.TrimPrefix(path, "/proc/sys/")] = strings.TrimSpace(string(text))
			}
			return nil
		})
	})
	return all, err
}

// SetSysctls gives the network namespace of init settings that Sysctls has returned. It
// returns the paths of those that the kernel refuses. Settings that are right already are
// not written.
func (h *Host) SetSysctls(all map[string]string, init inside.Identity) (refused []string, err error) {
	err = within(init, func() error {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			path := filepath.Join("/proc/sys", name)
			text, err := os.ReadFile(path)
			if err != nil || strings.TrimSpace(string(text)) == all[name] {
				continue // of an interface that is not there, or right
			}
			if err := os.WriteFile(path, []byte(all[name]+"\n"), 0); err != nil {
				refused = append(refused, name)
			}
		}
		return nil
	})
	return refused, err
}
