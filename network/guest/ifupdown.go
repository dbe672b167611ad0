package guest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// The marks around croft's lines in /etc/network/interfaces.
const (
	blockBegin = "# begin: " + marker + ", rewritten at each start\n"
	blockEnd   = "# end: " + marker + "\n"
)

// ifupdown writes interfaces(5) for Debian's ifupdown, Alpine's ifupdown-ng and
// busybox's ifup: one block of lines. All other lines stay. An interface that
// the user configures outside of the block belongs to the user. Where networkd is
// enabled, there is no block: each of both would fail on what the other has set.
func ifupdown(w *writer, s Settings) {
	const path = "etc/network/interfaces"
	if !w.program("ifup") || !w.has("etc/network") {
		return
	}
	now := w.look(path)
	if now.exists && !now.usable {
		w.keep(path)
		return
	}
	rest := withoutBlock(string(now.content))
	if w.first {
		rest = WithoutStanzas(rest, func(name string) bool {
			return slices.ContainsFunc(s.Interfaces, func(i Interface) bool { return i.Name == name })
		})
	}
	interfaces := s.Interfaces
	if w.has("etc/systemd/system/multi-user.target.wants/systemd-networkd.service") {
		interfaces = nil
	}
	var b strings.Builder
	if !configures(rest, "lo") {
		b.WriteString("auto lo\niface lo inet loopback\n")
		if strings.Contains(w.look("sbin/ifup").link, "busybox") { // it fails on the address that the kernel gave
			b.WriteString("    pre-up ip -4 addr flush dev lo || true\n")
		}
	}
	for _, i := range interfaces {
		if configures(rest, i.Name) {
			w.keep(path)
			continue
		}
		stanzas(&b, i, s)
	}
	text := rest
	if len(interfaces) > 0 && b.Len() > 0 {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += blockBegin + b.String() + blockEnd
	}
	if text != "" || now.exists {
		w.write(now, path, 0o644, text)
	}
}

// withoutBlock removes croft's block. A block without an end extends to the end
// of the file.
func withoutBlock(text string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		switch {
		case line == blockBegin:
			inside = true
		case inside && line == blockEnd:
			inside = false
		case !inside:
			b.WriteString(line)
		}
	}
	return b.String()
}

// stanza keywords that end the one before, interfaces(5).
func startsStanza(word string) bool {
	switch word {
	case "iface", "mapping", "auto", "source", "source-directory", "no-auto-down", "no-scripts", "rename", "template":
		return true
	}
	return strings.HasPrefix(word, "allow-")
}

func configures(text, name string) bool {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "iface" && f[1] == name {
			return true
		}
	}
	return false
}

// WithoutStanzas turns the stanzas of interfaces(5) for interfaces that are gone into
// comments.
func WithoutStanzas(text string, gone func(name string) bool) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "iface":
			inside = gone(f[1])
		case len(f) == 2 && (f[0] == "auto" || strings.HasPrefix(f[0], "allow-")):
			inside = gone(f[1])
		case len(f) > 0 && startsStanza(f[0]):
			inside = false
		}
		if inside && len(f) > 0 && !strings.HasPrefix(f[0], "#") {
			line = "#" + line
		}
		b.WriteString(line)
	}
	return b.String()
}

// stanzas: the host has set the same addresses already, which `ip addr add`
// takes for an error, so they are taken off first. Address and netmask are
// two lines because busybox's ifup wants them so, and further addresses are
// added by hand because it knows one of each family.
func stanzas(b *strings.Builder, i Interface, s Settings) {
	fmt.Fprintf(b, "auto %s\n", i.Name)
	for _, four := range []bool{true, false} {
		addrs := i.of(four)
		if len(addrs) == 0 {
			continue
		}
		family, ip := "inet", "ip -4"
		if !four {
			family, ip = "inet6", "ip -6"
		}
		fmt.Fprintf(b, "iface %s %s static\n", i.Name, family)
		fmt.Fprintf(b, "    address %s\n    netmask %s\n", addrs[0].Addr(), netmask(addrs[0]))
		if g := i.plainGateway(four); g.IsValid() {
			fmt.Fprintf(b, "    gateway %s\n", g)
		}
		if !four {
			b.WriteString("    dad-attempts 0\n")
		}
		if i.MTU > 0 && four {
			fmt.Fprintf(b, "    mtu %d\n", i.MTU)
		}
		if four || len(i.of(true)) == 0 {
			resolvconf(b, s)
		}
		fmt.Fprintf(b, "    pre-up %s addr flush dev %s scope global || true\n", ip, i.Name)
		fmt.Fprintf(b, "    pre-up %s route del default dev %s 2>/dev/null || true\n", ip, i.Name)
		for _, a := range addrs[1:] {
			fmt.Fprintf(b, "    up %s addr add %s dev %s\n", ip, a, i.Name)
		}
		waysByHand(b, i, four)
		for _, r := range i.Routes { // the flush took them along
			if destination, _, _ := strings.Cut(r, " "); strings.Contains(destination, ":") != four {
				fmt.Fprintf(b, "    up %s route replace %s || true\n", ip, r)
			}
		}
	}
}

// waysByHand adds the routes that no gateway line says, in words that busybox's
// ip knows too.
func waysByHand(b *strings.Builder, i Interface, four bool) {
	if i.plainGateway(four).IsValid() {
		return
	}
	ip := "ip -4"
	if !four {
		ip = "ip -6"
	}
	for _, way := range i.ways(four) {
		if way.onLink {
			fmt.Fprintf(b, "    up %s route replace %s dev %s\n", ip, netip.PrefixFrom(way.via, way.via.BitLen()), i.Name)
		}
		fmt.Fprintf(b, "    up %s route replace %s via %s dev %s\n", ip, way.to, way.via, i.Name)
	}
}

// resolvconf adds the resolvers for the package resolvconf, which writes
// resolv.conf if it is installed. ifup itself ignores these lines.
func resolvconf(b *strings.Builder, s Settings) {
	if len(s.Servers) > 0 {
		fmt.Fprintf(b, "    dns-nameservers %s\n", join(s.Servers, " "))
	}
	if len(s.Search) > 0 {
		fmt.Fprintf(b, "    dns-search %s\n", strings.Join(s.Search, " "))
	}
}

// netmask is dotted for IPv4, a length for IPv6.
func netmask(p netip.Prefix) string {
	if p.Addr().Is6() {
		return fmt.Sprint(p.Bits())
	}
	return net.IP(net.CIDRMask(p.Bits(), 32)).String()
}
