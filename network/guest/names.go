package guest

import (
	"fmt"
	"strings"
)

// names writes /etc/hostname, the VPS's own line in /etc/hosts, and those about
// other VPSs. Its own line
// also remembers the name that croft wrote: a hostname that differs from it
// was changed inside, and stays.
func names(w *writer, s Settings) {
	if s.Hostname == "" {
		return
	}
	hosts := w.look("etc/hosts")
	hostname := w.look("etc/hostname")
	switch now := strings.TrimSpace(string(hostname.content)); {
	case hostname.exists && !hostname.usable:
		w.keep("etc/hostname")
	case w.first, now == "", now == "localhost", now == remembered(string(hosts.content)):
		w.write(hostname, "etc/hostname", 0o644, s.Hostname+"\n")
	case now != s.Hostname:
		w.keep("etc/hostname")
	}
	if hosts.exists && !hosts.usable {
		w.keep("etc/hosts")
		return
	}
	w.write(hosts, "etc/hosts", 0o644, withHosts(editHosts(string(hosts.content), s, w.first), s.Hosts))
}

// remembered returns the name in the line of ours, "" if there is none.
func remembered(hosts string) string {
	for line := range strings.Lines(hosts) {
		if fields := strings.Fields(line); strings.Contains(line, marker) && len(fields) > 1 {
			return fields[1]
		}
	}
	return ""
}

// editHosts puts the line of ours where it was, or at the end, and keeps
// every other line. At the first start it takes out the name of the machine
// that the template was built on.
func editHosts(hosts string, s Settings, first bool) string {
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
	all := s.Hostname
	if short, _, dotted := strings.Cut(s.Hostname, "."); dotted {
		all += " " + short
	}
	mine := fmt.Sprintf("%s\t%s\t# %s\n", address, all, marker)
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
