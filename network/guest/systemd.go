package guest

import (
	"fmt"
	"strings"
)

// networkd writes systemd.network(5). The name sorts before what users and
// distributions use, and of several files for a link the first counts. It is
// written wherever networkd is installed: one that is not enabled does not
// read it, one that is enabled later does.
func networkd(w *writer, s Settings) {
	there := w.has("usr/lib/systemd/systemd-networkd", "lib/systemd/systemd-networkd")
	wanted := map[string]bool{}
	if there {
		for _, i := range s.Interfaces {
			path := "etc/systemd/network/05-croft-" + i.Name + ".network"
			wanted[path] = true
			w.put(path, 0o644, networkText(i, s))
		}
	}
	w.sweep("etc/systemd/network", "05-croft-", wanted)
	const foreign = "etc/systemd/networkd.conf.d/90-croft.conf"
	if there && s.Routing {
		w.put(foreign, 0o644, "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n")
	} else {
		w.drop(foreign)
	}
}

func networkText(i Interface, s Settings) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Match]\nName=%s", i.Name)
	if i.MTU > 0 {
		line("\n[Link]\nMTUBytes=%d", i.MTU)
	}
	line("\n[Network]\nDHCP=no\nIPv6AcceptRA=no")
	if len(i.of(false)) > 0 {
		line("LinkLocalAddressing=ipv6\nIPv6LinkLocalAddressGenerationMode=eui64\nIPv6PrivacyExtensions=no")
	} else {
		line("LinkLocalAddressing=no")
	}
	for _, a := range s.Servers {
		line("DNS=%s", a)
	}
	if len(s.Search) > 0 {
		line("Domains=%s", strings.Join(s.Search, " "))
	}
	for _, a := range i.Addresses {
		line("\n[Address]\nAddress=%s", a)
		if a.Addr().Is6() {
			line("DuplicateAddressDetection=none")
		}
	}
	for _, way := range i.allWays() {
		line("\n[Route]\nGateway=%s", way.via)
		if !way.everywhere() {
			line("Destination=%s", way.to)
		}
		if way.onLink {
			line("GatewayOnLink=yes")
		}
	}
	return b.String()
}

// netplan writes netplan(5), for whichever service it drives. Later files
// override scalars of earlier ones, so that the template's "dhcp4: true" for
// the same link does not count. Readable by root alone, as netplan wants it.
func netplan(w *writer, s Settings) {
	const path = "etc/netplan/90-croft.yaml"
	if len(s.Interfaces) == 0 || !w.program("netplan") {
		w.drop(path)
		return
	}
	renderer := "networkd"
	if w.program("NetworkManager") {
		renderer = "NetworkManager"
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("network:\n  version: 2\n  renderer: %s\n  ethernets:", renderer)
	for _, i := range s.Interfaces {
		line("    %s:\n      dhcp4: false\n      dhcp6: false\n      accept-ra: false", i.Name)
		if i.MTU > 0 {
			line("      mtu: %d", i.MTU)
		}
		if len(i.Addresses) > 0 {
			line("      addresses:")
		}
		for _, a := range i.Addresses {
			line("        - %q", a)
		}
		if len(i.allWays()) > 0 {
			line("      routes:")
		}
		for _, way := range i.allWays() {
			line("        - to: %q\n          via: %q", way.to, way.via)
			if way.onLink {
				line("          on-link: true")
			}
		}
		if len(s.Servers) > 0 {
			line("      nameservers:\n        addresses:")
		}
		for _, a := range s.Servers {
			line("          - %q", a)
		}
		if len(s.Servers) > 0 && len(s.Search) > 0 {
			line("        search:")
			for _, domain := range s.Search {
				line("          - %q", domain)
			}
		}
	}
	w.put(path, 0o600, b.String())
}
