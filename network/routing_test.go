package network

import (
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

func someRouting() vps.Routing {
	return vps.Routing{
		Routes: []vps.Route{
			{Destination: "0.0.0.0/0", MTU: 1400},
			{Destination: "192.0.2.0/24", Via: "10.90.0.1", Src: "10.90.0.2", MTU: 1300, AdvMSS: 1200, Table: 100, Metric: 5},
			{Destination: "2001:db8::/32", MTU: 1280},
			{Destination: "198.51.100.0/24", Dev: "eth0"},
		},
		Rules: []vps.RouteRule{{From: "10.90.0.2", Table: 100, Priority: 1000}, {To: "2001:db8:1::/48", Table: 101}},
	}
}

func TestRoutingPlan(t *testing.T) {
	table := fixed()
	plan, err := NewPlan(table, mustClaim(t, &table, "web"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := WithNextHops(someRouting(), []Plan{plan})
	if err != nil {
		t.Fatal(err)
	}
	kept := "# kept by the VPS's own network service: " + strings.Join(RoutesOf(someRouting(), plan, []Plan{plan}), "; ") + "\n"
	golden(t, "routing.golden", routingText(r)+kept)
	plan.Gateways = plan.Gateways[:1]
	if _, err := WithNextHops(someRouting(), []Plan{plan}); !fail.Is(err, fail.State) {
		t.Errorf("IPv6 without a gateway: %v", err)
	}
}
