package guest

import (
	"strings"
	"testing"
)

// Stanzas that are gone become comments: no line is lost, and a second time changes nothing.
func FuzzWithoutStanzas(f *testing.F) {
	f.Add("auto lo eth0\niface eth0 inet static\n  address 10.0.0.2\n\nauto eth1\niface eth1 inet dhcp\n")
	f.Add("iface eth0\n\tup x \\\n y\nsource /etc/x\n# iface eth0\nallow-hotplug eth0")
	f.Fuzz(func(t *testing.T, text string) {
		gone := func(name string) bool { return name == "eth0" }
		out := WithoutStanzas(text, gone)
		if strings.Count(out, "\n") != strings.Count(text, "\n") || len(out) > 2*len(text)+1 {
			t.Errorf("%q became %q", text, out)
		}
		for line := range strings.Lines(out) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "iface" && gone(fields[1]) {
				t.Errorf("%q became %q", text, out)
			}
		}
		if again := WithoutStanzas(out, gone); again != out {
			t.Errorf("%q became %q, then %q", text, out, again)
		}
	})
}

// The lines of the user in /etc/hosts are kept, and a second time changes nothing.
func FuzzHosts(f *testing.F) {
	f.Add("127.0.0.1 localhost\n")
	f.Add("a\n10.0.0.1 web web.croft " + hostMarker + "\nb")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		out := withHosts(text, nil)
		if again := withHosts(out, nil); again != out {
			t.Errorf("%q became %q, then %q", text, out, again)
		}
		if !strings.Contains(text, hostMarker) && out != text {
			t.Errorf("%q became %q", text, out)
		}
	})
}
