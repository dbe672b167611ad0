package guest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// resolver writes resolv.conf, unless that is a link to what systemd-resolved
// makes, and a drop-in for systemd-resolved wherever there is a systemd: it may
// be installed while the VPS runs, and then replaces resolv.conf. A link to what another service of
// the VPS makes (resolvconf, NetworkManager) is that service's: it is told
// through its own configuration.
func resolver(w *writer, s Settings) {
	const conf, dropIn = "etc/resolv.conf", "etc/systemd/resolved.conf.d/croft.conf"
	if len(s.Servers) == 0 {
		return
	}
	now := w.look(conf)
	resolved := strings.Contains(now.link, "run/systemd/resolve/") || strings.Contains(now.link, "lib/systemd/resolv.conf")
	if resolved || w.has("usr/lib/systemd/systemd", "lib/systemd/systemd") {
		w.put(dropIn, 0o644, resolvedText(s))
	} else {
		w.drop(dropIn)
	}
	if strings.Contains(now.link, "run/") {
		return
	}
	w.put(conf, 0o644, resolvText(s))
}

func resolvText(s Settings) string {
	var b strings.Builder
	for _, a := range s.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	if len(s.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(s.Search, " "))
	}
	return b.String()
}

// resolvedText: resolved.conf(5).
func resolvedText(s Settings) string {
	text := "[Resolve]\nDNS=" + join(s.Servers, " ") + "\n"
	if len(s.Search) > 0 {
		text += "Domains=" + strings.Join(s.Search, " ") + "\n"
	}
	return text
}

// maxServers is how many servers the resolver of a C library reads (MAXNS,
// resolv.conf(5)).
const maxServers = 3

// Upstreams returns the resolvers that a VPS can use, from the first of the
// host's files that names one: /etc/resolv.conf, then
// /run/systemd/resolve/resolv.conf, and so on. Loopback addresses, which only
// the host reaches, and link-local ones are left out. None is an empty list.
func Upstreams(resolvConfs ...[]byte) []netip.Addr {
	for _, conf := range resolvConfs {
		if servers := nameservers(string(conf)); len(servers) > 0 {
			return servers[:min(len(servers), maxServers)]
		}
	}
	return nil
}

func nameservers(conf string) []netip.Addr {
	var out []netip.Addr
	for line := range strings.Lines(conf) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		a, err := netip.ParseAddr(fields[1])
		a = a.Unmap()
		if err != nil || a.Zone() != "" || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || slices.Contains(out, a) {
			continue
		}
		out = append(out, a)
	}
	return out
}
