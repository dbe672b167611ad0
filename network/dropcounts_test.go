package network

import (
	"strings"
	"testing"
)

// A holder asks for each reason, at the place where the filters count it.
func TestDropCounts(t *testing.T) {
	p := Plan{Interface: "eth0", HostLink: "cr-web-abcd", Mode: ModeRouted}
	all := p.DropCounts()
	if len(all) != len(Reasons())+1 {
		t.Fatalf("%d counts", len(all))
	}
	for n, r := range Reasons() {
		c := all[n]
		if c.Family != 5 || c.Name != DropSet(r) || c.Link != p.HostLink {
			t.Errorf("%s: %+v", r, c)
		}
	}
	for _, c := range all {
		if strings.Contains(c.Message, ", : ") || strings.ContainsAny(c.Message, "\t\n") || strings.Count(c.String(), "\t") != 4 {
			t.Errorf("%q", c)
		}
	}
	if c := all[len(all)-1]; c.Family != 1 || c.Name != ConnectionChain(p.HostLink) || c.Link != "" {
		t.Errorf("connections: %+v", c)
	}
	p.Mode = ModeBridge
	if c := p.DropCounts()[0]; c.Family != 7 {
		t.Errorf("of a bridge: %+v", c)
	}
	p.HostLink = ""
	if all := p.DropCounts(); all != nil {
		t.Errorf("without a port: %v", all)
	}
}
