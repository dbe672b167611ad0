package guest

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
)

// A Host is a VPS that this one reaches by its name.
type Host struct {
	Name      string
	Addresses []netip.Addr
}

// Domain is what names of VPSs may end with, for those who want to be sure
// that it is a VPS.
const Domain = "croft"

// hostMarker is at the end of each of croft's lines about a VPS.
const hostMarker = "# a VPS, kept by croft"

// Hosts reads root, the file system of a running VPS, and returns the change
// that makes croft's lines of its /etc/hosts name exactly all. If the file is
// missing or not a regular one, there is no change.
func Hosts(root fs.FS, all []Host) (Changes, error) {
	w := &writer{root: root}
	if hosts := w.look("etc/hosts"); hosts.usable {
		w.write(hosts, "etc/hosts", 0o644, withHosts(string(hosts.content), all))
	}
	return w.out, nil
}

// withHosts puts croft's lines about VPSs where the first of them was, or at
// the end, so that lines of the user come first and take precedence. Other
// lines do not change.
func withHosts(hosts string, all []Host) string {
	var before, after strings.Builder
	to := &before
	for line := range strings.Lines(hosts) {
		if strings.Contains(line, hostMarker) {
			to = &after
			continue
		}
		to.WriteString(line)
	}
	if to == &before && len(all) > 0 && before.Len() > 0 && !strings.HasSuffix(hosts, "\n") {
		before.WriteByte('\n')
	}
	for _, h := range all {
		for _, a := range h.Addresses {
			fmt.Fprintf(&before, "%s\t%s\t%s\n", a, h.names(), hostMarker)
		}
	}
	return before.String() + after.String()
}

// names returns the names of a VPS. One with the name of the machine itself has
// its long name only.
func (h Host) names() string {
	long := h.Name + "." + Domain
	if slices.Contains([]string{"localhost", "ip6-localhost", "ip6-loopback", "ip6-allnodes", "ip6-allrouters"}, h.Name) {
		return long
	}
	return h.Name + " " + long
}
