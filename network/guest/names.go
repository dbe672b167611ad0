package guest

import (
	"fmt"
	"slices"
	"strings"
)

// names writes /etc/hostname, the VPS's own line in /etc/hosts, and those about
// other VPSs. Its own line also remembers the name that croft wrote: a hostname
// that differs from it was changed inside. It stays, and the line names it too.
func names(w *writer, s Settings) {
	if s.Hostname == "" {
		return
	}
	hosts := w.look("etc/hosts")
	hostname := w.look("etc/hostname")
	called := s.Hostname
	switch now := firstLine(hostname.content); {
	case hostname.exists && !hostname.usable:
		w.keep("etc/hostname")
	case w.first, now == "", now == "localhost", now == remembered(string(hosts.content)):
		w.write(hostname, "etc/hostname", 0o644, s.Hostname+"\n")
	case now != s.Hostname:
		w.keep("etc/hostname")
		if !strings.ContainsFunc(now, badInWord) {
			called = now
		}
	}
	if hosts.exists && !hosts.usable {
		w.keep("etc/hosts")
		return
	}
	w.write(hosts, "etc/hosts", 0o644, withHosts(editHosts(string(hosts.content), s, called, w.first), s.Hosts))
}

// firstLine is the name in a hostname(5), in which lines may be comments.
func firstLine(hostname []byte) string {
	for line := range strings.Lines(string(hostname)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}

// gave comes before the name that croft wrote, in a line that has another one.
const gave = marker + ", which called it "

// remembered returns the name that croft wrote, "" if it has written none.
func remembered(hosts string) string {
	for line := range strings.Lines(hosts) {
		if _, name, ok := strings.Cut(line, gave); ok {
			return strings.TrimSpace(name)
		}
		if fields := strings.Fields(line); strings.Contains(line, marker) && len(fields) > 1 {
			return fields[1]
		}
	}
	return ""
}

// withShort is a name and, if it has a domain, the name without it.
func withShort(name string) []string {
	if short, _, dotted := strings.Cut(name, "."); dotted && short != "" {
		return []string{name, short}
	}
	return []string{name}
}

// editHosts puts croft's line where it was, or at the end, and keeps all other
// lines. called is the name of the VPS; the name in its settings leads to it
// too. The first start removes the name of the machine on which the template
// was built.
func editHosts(hosts string, s Settings, called string, first bool) string {
	if strings.TrimSpace(hosts) == "" {
		hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	}
	address := "127.0.1.1" // Debian's, for a machine without an address of its own
	for _, i := range s.Interfaces {
		if len(i.Addresses) > 0 {
			address = i.Addresses[0].Addr().String()
			break
		}
	}
	all, mark := withShort(called), marker
	if called != s.Hostname {
		for _, name := range withShort(s.Hostname) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
		mark = gave + s.Hostname
	}
	mine := fmt.Sprintf("%s\t%s\t# %s\n", address, strings.Join(all, " "), mark)
	var b strings.Builder
	done := false
	for line := range strings.Lines(hosts) {
		switch {
		case strings.Contains(line, marker):
			if !done {
				b.WriteString(mine)
			}
			done = true
		case first && strings.HasPrefix(line, "127.0.1.1"):
		default:
			b.WriteString(line)
		}
	}
	if !done {
		if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
			b.WriteByte('\n')
		}
		b.WriteString(mine)
	}
	return b.String()
}
