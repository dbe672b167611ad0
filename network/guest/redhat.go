package guest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
)

// networkManager writes keyfiles, nm-settings-keyfile(5), and keeps
// NetworkManager from making a DHCP connection of its own for our links.
// Keyfiles that anybody else can read are ignored by it.
func networkManager(w *writer, s Settings) {
	const dir, conf = "etc/NetworkManager/system-connections", "etc/NetworkManager/conf.d/90-croft.conf"
	wanted := map[string]bool{}
	if w.program("NetworkManager") && len(s.Interfaces) > 0 {
		var links []string
		for _, i := range s.Interfaces {
			path := dir + "/croft-" + i.Name + ".nmconnection"
			wanted[path] = true
			w.put(path, 0o600, keyfile(i, s))
			links = append(links, "interface-name:"+i.Name)
		}
		w.put(conf, 0o644, "[main]\nno-auto-default="+strings.Join(links, ",")+"\n")
	} else {
		w.drop(conf)
	}
	w.sweep(dir, "croft-", wanted)
}

func keyfile(i Interface, s Settings) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	sum := sha256.Sum256([]byte("croft " + i.Name))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80 // RFC 9562: made from a name
	line("[connection]\nid=croft-%s\nuuid=%x-%x-%x-%x-%x", i.Name, sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	line("type=ethernet\ninterface-name=%s\nautoconnect=true\nautoconnect-priority=999", i.Name)
	if i.MTU > 0 {
		line("\n[ethernet]\nmtu=%d", i.MTU)
	}
	for _, four := range []bool{true, false} {
		addrs := i.of(four)
		section, off := "ipv4", "disabled"
		if !four {
			section, off = "ipv6", "link-local"
		}
		line("\n[%s]", section)
		if len(addrs) == 0 {
			line("method=%s", off)
			continue
		}
		line("method=manual")
		for n, a := range addrs {
			line("address%d=%s", n+1, a)
		}
		if g := i.plainGateway(four); g.IsValid() {
			line("gateway=%s", g)
		} else {
			for n, way := range i.ways(four) {
				line("route%d=%s,%s\nroute%d_options=onlink=true", n+1, way.to, way.via, n+1)
			}
		}
		if !four {
			line("addr-gen-mode=eui64\nip6-privacy=0")
		}
		var servers []netip.Addr
		for _, a := range s.Servers {
			if a.Is4() == four {
				servers = append(servers, a)
			}
		}
		if len(servers) > 0 {
			line("dns=%s;", join(servers, ";"))
		}
		if len(s.Search) > 0 {
			line("dns-search=%s;", strings.Join(s.Search, ";"))
		}
	}
	return b.String()
}

// ifcfg writes the files of Red Hat's network-scripts, where those scripts
// are: NetworkManager gets keyfiles.
func ifcfg(w *writer, s Settings) {
	const dir = "etc/sysconfig/network-scripts"
	wanted := map[string]bool{}
	if w.has(dir+"/ifup-eth", "etc/sysconfig/network-scripts/ifup") {
		for _, i := range s.Interfaces {
			path := dir + "/ifcfg-" + i.Name
			wanted[path] = true
			w.put(path, 0o644, ifcfgText(i, s))
			for _, four := range []bool{true, false} {
				if text := ifcfgRoutes(i, four); text != "" {
					path := dir + "/route-" + i.Name
					if !four {
						path = dir + "/route6-" + i.Name
					}
					wanted[path] = true
					w.put(path, 0o644, text)
				}
			}
		}
	}
	for _, kind := range []string{"ifcfg-", "route-", "route6-"} {
		w.sweep(dir, kind, wanted)
	}
}

// ifcfgRoutes are those that no GATEWAY says, in words of ip-route(8).
func ifcfgRoutes(i Interface, four bool) string {
	if i.plainGateway(four).IsValid() {
		return ""
	}
	var b strings.Builder
	for _, way := range i.ways(four) {
		onLink := ""
		if way.onLink {
			onLink = " onlink"
		}
		fmt.Fprintf(&b, "%s via %s dev %s%s\n", way.to, way.via, i.Name, onLink)
	}
	return b.String()
}

func ifcfgText(i Interface, s Settings) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("DEVICE=%s\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=none\nARPCHECK=no\nPEERDNS=no", i.Name)
	for n, a := range i.of(true) {
		number := ""
		if n > 0 {
			number = fmt.Sprint(n)
		}
		line("IPADDR%s=%s\nPREFIX%s=%d", number, a.Addr(), number, a.Bits())
	}
	if g := i.plainGateway(true); g.IsValid() {
		line("GATEWAY=%s", g)
	}
	if six := i.of(false); len(six) > 0 {
		line("IPV6INIT=yes\nIPV6_AUTOCONF=no\nIPV6_ADDR_GEN_MODE=eui64\nIPV6ADDR=%s", six[0])
		if len(six) > 1 {
			line("IPV6ADDR_SECONDARIES=\"%s\"", join(six[1:], " "))
		}
		if g := i.plainGateway(false); g.IsValid() {
			line("IPV6_DEFAULTGW=%s", g)
		}
	} else {
		line("IPV6INIT=no")
	}
	for n, a := range s.Servers {
		line("DNS%d=%s", n+1, a)
	}
	if len(s.Search) > 0 {
		line("DOMAIN=\"%s\"", strings.Join(s.Search, " "))
	}
	if i.MTU > 0 {
		line("MTU=%d", i.MTU)
	}
	return b.String()
}

// wicked writes SUSE's ifcfg(5) and ifroute(5).
func wicked(w *writer, s Settings) {
	const dir = "etc/sysconfig/network"
	wanted := map[string]bool{}
	if w.program("wicked") {
		for _, i := range s.Interfaces {
			w.wickedFile(wanted, dir+"/ifcfg-"+i.Name, wickedText(i))
			var routes strings.Builder
			for _, way := range i.allWays() {
				to := way.to.String()
				if way.everywhere() {
					to = "default"
				}
				if way.onLink {
					fmt.Fprintf(&routes, "%s - - %s\n", netip.PrefixFrom(way.via, way.via.BitLen()), i.Name)
				}
				fmt.Fprintf(&routes, "%s %s - %s\n", to, way.via, i.Name)
			}
			w.wickedFile(wanted, dir+"/ifroute-"+i.Name, routes.String())
		}
	}
	w.sweep(dir, "ifcfg-", wanted)
	w.sweep(dir, "ifroute-", wanted)
}

func (w *writer) wickedFile(wanted map[string]bool, path, text string) {
	wanted[path] = true
	w.put(path, 0o644, text)
}

func wickedText(i Interface) string {
	var b strings.Builder
	b.WriteString("STARTMODE='auto'\nBOOTPROTO='static'\n")
	for n, a := range i.Addresses {
		number := ""
		if n > 0 {
			number = fmt.Sprintf("_%d", n)
		}
		fmt.Fprintf(&b, "IPADDR%s='%s'\n", number, a)
	}
	if i.MTU > 0 {
		fmt.Fprintf(&b, "MTU='%d'\n", i.MTU)
	}
	return b.String()
}

// sweep removes croft's files in dir whose names begin with prefix and that are
// not wanted any more.
func (w *writer) sweep(dir, prefix string, wanted map[string]bool) {
	entries, err := fs.ReadDir(w.root, dir)
	if err != nil {
		w.note(dir, err)
		return
	}
	for _, e := range entries {
		if path := dir + "/" + e.Name(); strings.HasPrefix(e.Name(), prefix) && !wanted[path] {
			w.drop(path)
		}
	}
}
