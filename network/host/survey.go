package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/internal/vps"
	"croft/network"
)

// A Survey reports what this host can do for the networks of VPSs, and which
// firewalls drop their packets.
type Survey struct {
	// Results of trials in a network namespace of its own. Nil: it works.
	Filter error // a table of nftables for bridges
	Links  error // bridges and pairs of virtual links
	Rules  error // chains, NAT and connection tracking by iptables
	Rates  error // limits of what interfaces carry
	Guard  error // programs that stand behind the filters

	Flavour     Flavour
	IPTables    string // the tool's path and version; "" if it is not there
	IPv6        bool   // the kernel has it
	Forwarding4 bool
	Forwarding6 bool

	Modules     bool     // the kernel has modules, and there is a tool that loads them
	Unavailable []string // modules that VPSs may use and that the host does not have; nil if that is not known
	Blockers    []Blocker
}

// A Flavour is the kernel interface that an iptables changes.
type Flavour string

// The flavours of iptables.
const (
	FlavourNFT    Flavour = "nf_tables"
	FlavourLegacy Flavour = "legacy"
)

// LookAround surveys the host. bridges are those of croft's networks. It
// changes nothing, except that it loads modules as the first start of a VPS
// would.
func LookAround(ctx context.Context, bridges []string) Survey {
	s := Survey{IPv6: hasIPv6()}
	s.IPTables, s.Flavour = iptablesVersion(ctx)
	if v, err := readSysctl("net/ipv4/ip_forward"); err == nil {
		s.Forwarding4 = v == "1"
	}
	if v, err := readSysctl("net/ipv6/conf/all/forwarding"); err == nil {
		s.Forwarding6 = v == "1"
	}
	s.Modules, s.Unavailable = unavailableModules(ctx)
	inNamespace(func(err error) { s.try(ctx, err) })
	s.Blockers = append(early(ctx, s.IPv6), blockers(forwardHooks(ctx, s.Flavour), s.Flavour, bridges)...)
	return s
}

// inNamespace calls f on a thread that has a network namespace of its own and
// ends with f; or with why it has none.
func inNamespace(f func(error)) {
	nsthread.Do(func() { f(classify("make a network namespace", unix.Unshare(unix.CLONE_NEWNET))) })
}

// try repeats the steps of a start in the thread's network namespace.
func (s *Survey) try(ctx context.Context, err error) {
	if err != nil {
		s.Filter, s.Links, s.Rules, s.Rates, s.Guard = err, err, err, err, err
		return
	}
	h, err := NewHost(nil)
	if err != nil {
		s.Filter, s.Links, s.Rules, s.Rates, s.Guard = err, err, err, err, err
		return
	}
	defer h.Close()
	p := network.NewHostPlan(network.Default(network.Seed{NoIPv6: !s.IPv6}))
	if s.Links = h.ensureBridge(ctx, p); s.Links == nil {
		s.Links = h.tryPair()
	}
	if s.Rates, s.Guard = s.Links, s.Links; s.Links == nil {
		s.Rates, s.Guard = h.tryRates(), h.tryGuard()
	}
	s.Filter = h.ensureFilter(ctx, p)
	if s.Rules = checkTools(s.IPv6); s.Rules == nil {
		s.Rules = h.ensureRules(ctx, p)
	}
}

func (h *Host) tryPair() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "croft-try"
	return classify("make a pair of virtual links", h.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "croft-try-peer"}))
}

// tryRates limits the pair that tryPair made.
func (h *Host) tryRates() error {
	link, err := h.nl.LinkByName("croft-try")
	if err != nil {
		return classify("find a pair of virtual links", err)
	}
	return h.shape(network.Plan{HostLink: "croft-try", Rate: vps.Rate{In: vps.LeastRate, Out: vps.LeastRate}}, link, nil)
}

// tryGuard hooks a program into the pair that tryPair made.
func (h *Host) tryGuard() error {
	link, err := h.nl.LinkByName("croft-try")
	if err != nil {
		return classify("find a pair of virtual links", err)
	}
	return h.setCatch(link, netlink.HANDLE_MIN_INGRESS)
}

// iptablesVersion runs the iptables that croft would use, and reads its version
// and flavour. Versions before 1.8 know one flavour and do not print it.
func iptablesVersion(ctx context.Context) (string, Flavour) {
	path, err := findTool("iptables")
	if err != nil {
		return "", ""
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", ""
	}
	version := strings.TrimSpace(string(out))
	flavour := FlavourLegacy
	if strings.Contains(version, "(nf_tables)") {
		flavour = FlavourNFT
	}
	return version, flavour
}

// unavailableModules are those that VPSs may use and that are neither loaded
// nor built in, nor can be loaded; and whether the host has modules at all.
func unavailableModules(ctx context.Context) (bool, []string) {
	if _, err := os.Stat("/proc/modules"); err != nil {
		return false, nil
	}
	modprobe, err := findTool("modprobe")
	if err != nil {
		return false, nil
	}
	var gone []string
	for _, m := range guestModules() {
		if _, err := os.Stat("/sys/module/" + m); err == nil {
			continue
		}
		if exec.CommandContext(ctx, modprobe, "-n", "-q", m).Run() != nil {
			gone = append(gone, m)
		}
	}
	return true, gone
}

// forwardHooks returns the chains that see forwarded packets, except those of
// the iptables that croft uses. Chains that cannot be listed are ignored.
func forwardHooks(ctx context.Context, ours Flavour) []hook {
	all, err := nftForwardHooks()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		all = nil
	}
	if ours == FlavourNFT {
		all = append(all, legacyHooks(ctx)...)
	}
	return all
}

// legacyHooks asks the older iptables, if something uses it: to ask would load
// its modules.
func legacyHooks(ctx context.Context) []hook {
	var all []hook
	for _, c := range []struct{ names, tool, Family string }{
		{"/proc/thread-self/net/ip_tables_names", "iptables-legacy-save", "ip"},
		{"/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy-save", "ip6"},
	} {
		names, err := os.ReadFile(c.names)
		if err != nil || !strings.Contains(string(names), "filter") {
			continue
		}
		path, err := findTool(c.tool)
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, path, "-t", "filter").Output()
		if err != nil {
			continue
		}
		all = append(all, legacyHook(c.Family, filepath.Base(strings.TrimSuffix(path, "-save")), string(out)))
	}
	return all
}

// legacyHook reads FORWARD out of what iptables-legacy-save printed.
func legacyHook(family, tool, text string) hook {
	s := network.ParseSavedRules(text)
	h := hook{Family: family, table: "filter", chain: "FORWARD", tool: tool, docker: s.HasChain("filter", "DOCKER-USER")}
	for _, line := range s["filter"] {
		h.drops = h.drops || strings.HasPrefix(line, ":FORWARD DROP")
		h.text += line + "\n"
	}
	for _, spec := range s.Specs("filter", "FORWARD") {
		h.drops = h.drops || dropsWhatever(spec)
	}
	return h
}

// A hook is a chain that sees forwarded packets.
type hook struct {
	Family, table, chain string
	drops                bool   // what no rule of it accepts
	docker               bool   // it has Docker's chain for others
	tool                 string // of iptables that changes it; "" is nft
	text                 string // names of links in its table's rules
}

// A Blocker drops what VPSs send and get before or after croft has let it
// through: a verdict of one chain is not the last word for the others.
type Blocker struct {
	Who    string // a firewall's name, or a chain's
	Remedy string // the command that has it let VPSs through
}

// blockers returns the firewalls that drop packets of these bridges. A chain
// that contains the name of the bridge has been configured for it.
func blockers(hooks []hook, ours Flavour, bridges []string) []Blocker {
	var all []Blocker
	for _, h := range hooks {
		if !h.drops || ours == FlavourNFT && h.tool == "" && h.isIPTables() {
			continue // croft's own rules stand first in that one
		}
		for _, bridge := range bridges {
			if !strings.Contains(h.text, bridge) {
				all = append(all, h.blocker(bridge))
			}
		}
	}
	return all
}

// isIPTables: the chain that iptables on nf_tables calls FORWARD.
func (h hook) isIPTables() bool {
	return (h.Family == "ip" || h.Family == "ip6") && h.table == "filter" && h.chain == "FORWARD"
}

func (h hook) blocker(bridge string) Blocker {
	const established = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT "
	tool := h.tool
	if tool == "" && h.isIPTables() { // croft uses the other flavour
		tool = map[string]string{"ip": "iptables-nft", "ip6": "ip6tables-nft"}[h.Family]
	}
	switch {
	case h.table == "firewalld": // a reload of which would flush all iptables, croft's rules too
		return Blocker{"firewalld", fmt.Sprintf("firewall-cmd --zone=trusted --add-interface=%s && firewall-cmd --permanent --zone=trusted --add-interface=%[1]s", bridge)}
	case h.hasUFW():
		return Blocker{"ufw (" + tool + ")", fmt.Sprintf("ufw route allow in on %s && ufw route allow out on %[1]s", bridge)}
	case tool != "":
		who, chain := tool+" FORWARD", "FORWARD"
		if h.docker {
			who, chain = "Docker ("+who+")", "DOCKER-USER"
		}
		return Blocker{who, fmt.Sprintf("%s -I %s -i %s -j ACCEPT && %[1]s -I %[2]s -o %[3]s %[4]s-j ACCEPT", tool, chain, bridge, established)}
	}
	chain := strings.Join([]string{h.Family, h.table, h.chain}, " ")
	return Blocker{"nftables chain " + chain,
		fmt.Sprintf("nft insert rule %s iifname %s accept && nft insert rule %[1]s oifname %[2]s ct state established,related accept && nft insert rule %[1]s oifname %[2]s ct status dnat accept", chain, bridge)}
}

func (h hook) hasUFW() bool { return strings.Contains(h.text, "ufw-") }
