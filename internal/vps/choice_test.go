package vps

import (
	"fmt"
	"strings"
	"testing"

	"croft/internal/fail"
)

// A published port is chosen by its port or by its text. What could be two
// entries chooses none.
func TestPublicationChoice(t *testing.T) {
	all := []Publication{
		{Protocol: "tcp", Host: "127.0.0.1", Ports: "18081", To: "80"},
		{Protocol: "tcp", Ports: "53", To: "53"},
		{Protocol: "udp", Ports: "53", To: "53"},
		{Protocol: "tcp", Ports: "2", To: "2"},
		{Protocol: "tcp", Ports: "5", To: "7"},
		{Protocol: "tcp", Ports: "8000-8010", To: "80-90"},
	}
	// The fifth entry publishes port 5: position and port are one entry.
	for _, c := range []struct {
		choice PublicationChoice
		want   int
		kind   fail.Kind
		text   string
	}{
		{choice: PublicationChoice{Number: 1}, want: 1},
		{choice: PublicationChoice{Number: 5}, want: 5},
		{choice: PublicationChoice{Number: 18081}, want: 1},
		{choice: PublicationChoice{Ports: "18081", To: "80"}, want: 1},
		{choice: PublicationChoice{Ports: "18081", To: "80", Host: "127.0.0.1", Protocol: "tcp"}, want: 1},
		{choice: PublicationChoice{Ports: "53", Protocol: "udp"}, want: 3},
		{choice: PublicationChoice{Ports: "8000-8010"}, want: 6},
		{choice: PublicationChoice{Ports: "2", To: "2"}, want: 4},
		{choice: PublicationChoice{Number: 2}, kind: fail.Usage, text: "2 chooses several published ports: number 2 (53:53), number 4 (2:2);"},
		{choice: PublicationChoice{Number: 53}, kind: fail.Usage, text: "number 2 (53:53), number 3 (53:53/udp)"},
		{choice: PublicationChoice{Number: 8005}, kind: fail.NotFound, text: "no published port 8005: the last is 6"},
		{choice: PublicationChoice{Ports: "18081", To: "81"}, kind: fail.NotFound, text: "no published port 18081:81"},
		{choice: PublicationChoice{Host: "::1", Ports: "53", To: "53"}, kind: fail.NotFound, text: "no published port [::1]:53:53"},
	} {
		got, err := c.choice.in(all, "web")
		if got != c.want || (err != nil) != (c.want == 0) || err != nil && (!fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %d, %v; want %d, %s", c.choice, got, err, c.want, c.text)
		}
	}
}

// A rule of the firewall is chosen by the words that added it, whatever their
// order. Two rules that are the same are ambiguous.
func TestFirewallChoice(t *testing.T) {
	all := []FirewallRule{
		{Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{"80", "443"}},
		{Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{"80", "443"}, From: "10.0.0.1"},
		{Chain: "output", Action: "reject", States: []string{"new", "related"}},
		{Chain: "input", Action: "deny", Ports: []string{"53"}},
		{Chain: "input", Action: "deny", Ports: []string{"53"}},
	}
	for _, c := range []struct {
		choice FirewallChoice
		want   int
		kind   fail.Kind
		text   string
	}{
		{choice: FirewallChoice{Number: 4}, want: 4},
		{choice: FirewallChoice{Rule: FirewallRule{Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{"443", "80"}}}, want: 1},
		{choice: FirewallChoice{Rule: FirewallRule{Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{"80", "443"}, From: "10.0.0.1/32"}}, want: 2},
		{choice: FirewallChoice{Rule: FirewallRule{Chain: "output", Action: "reject", States: []string{"related", "new"}}}, want: 3},
		{choice: FirewallChoice{Number: 6}, kind: fail.NotFound, text: "no rule 6: the last is 5"},
		{choice: FirewallChoice{Rule: all[4]}, kind: fail.Usage, text: "deny 53 chooses several rules: number 4 (deny 53), number 5 (deny 53); give the number"},
		{choice: FirewallChoice{Rule: FirewallRule{Chain: "output", Action: "deny", States: []string{"new", "related"}}}, kind: fail.NotFound, text: "no rule deny --state new,related --chain output"},
		{choice: FirewallChoice{Rule: FirewallRule{Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{"80"}}}, kind: fail.NotFound, text: "no rule allow 80/tcp"},
	} {
		checkChoice(t, c.choice.String(), c.want, c.kind, c.text, func() (int, error) { return c.choice.in(all, "web") })
	}
}

// A route or routing rule is chosen by its fields. A field that is left out may be
// anything; table 0 is 254.
func TestRouteChoice(t *testing.T) {
	all := Routing{
		Routes: []Route{
			{Destination: "192.0.2.0/24", MTU: 1300},
			{Destination: "192.0.2.0/24", Via: "10.0.0.9", Table: 100},
			{Destination: "0.0.0.0/0", Table: 100},
			{Destination: "::/0", Via: "fd00::1", Table: 100},
		},
		Rules: []RouteRule{
			{From: "10.90.0.7", Table: 100},
			{From: "10.90.0.7", To: "192.0.2.0/24", Table: 101},
		},
	}
	route := func(r Route) RouteChoice { return RouteChoice{Route: r} }
	rule := func(r RouteRule) RouteChoice { return RouteChoice{Rule: r} }
	for _, c := range []struct {
		choice RouteChoice
		want   int
		kind   fail.Kind
		text   string
	}{
		{choice: RouteChoice{Number: 5}, want: 5},
		{choice: RouteChoice{Number: 7}, kind: fail.NotFound, text: "no route 7: the last is 6"},
		{choice: route(Route{Destination: "192.0.2.0/24", Table: 254}), want: 1},
		{choice: route(Route{Destination: "192.0.2.0/24", Via: "10.0.0.9"}), want: 2},
		{
			choice: route(Route{Destination: "192.0.2.0/24"}), kind: fail.Usage,
			text: "192.0.2.0/24 chooses several routes: number 1 (192.0.2.0/24 mtu 1300), number 2 (192.0.2.0/24 via 10.0.0.9 table 100); give more options or the number",
		},
		{choice: route(Route{Destination: "default"}), kind: fail.Usage, text: "number 3 (0.0.0.0/0 table 100), number 4 (::/0 via fd00::1 table 100)"},
		{choice: route(Route{Destination: "::/0", Via: "fd00:0::1"}), want: 4},
		{choice: route(Route{Destination: "default", Table: 254}), kind: fail.NotFound, text: "no route default table 254"},
		{choice: rule(RouteRule{From: "10.90.0.7/32", Table: 100}), want: 5},
		{choice: rule(RouteRule{To: "192.0.2.0/24"}), want: 6},
		{choice: rule(RouteRule{From: "10.90.0.7"}), kind: fail.Usage, text: "rule from 10.90.0.7 chooses several routes: number 5"},
		{choice: rule(RouteRule{Table: 7}), kind: fail.NotFound, text: "no route rule table 7"},
	} {
		checkChoice(t, c.choice.String(), c.want, c.kind, c.text, func() (int, error) { return c.choice.in(all, "web") })
	}
}

// The chosen entries are removed, and the rest keeps its order. If one choice is
// wrong nothing is removed.
func TestRemovalOfChosenEntries(t *testing.T) {
	rule := func(port string) FirewallRule {
		return FirewallRule{Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{port}}
	}
	v := edited(t, VPS{Name: "web", Hostname: "web"}, AddRules{Rules: []FirewallRule{rule("22"), rule("80"), rule("443")}},
		AddRoute{Route{Destination: "192.0.2.0/24", Table: 7}}, AddRoute{Route{Destination: "192.0.2.0/24"}}, AddRouteRule{RouteRule{From: "10.0.0.1", Table: 7}})
	if _, err := Edited(v, RemoveRules{[]FirewallChoice{{Rule: rule("22")}, {Rule: rule("23")}}}); !fail.Is(err, fail.NotFound) {
		t.Errorf("a rule that does not exist: %v", err)
	}
	v = edited(t, v, RemoveRules{[]FirewallChoice{{Rule: rule("80")}}},
		RemoveRoutes{[]RouteChoice{{Route: Route{Destination: "192.0.2.0/24", Table: 254}}, {Rule: RouteRule{From: "10.0.0.1/32"}}}})
	if got := fmt.Sprint(v.Firewall.Rules); got != fmt.Sprint([]FirewallRule{rule("22"), rule("443")}) {
		t.Errorf("rules: %s", got)
	}
	if len(v.Routing.Routes) != 1 || v.Routing.Routes[0].Table != 7 || len(v.Routing.Rules) != 0 {
		t.Errorf("routes: %v", v.Routing)
	}
}

func checkChoice(t *testing.T, choice string, want int, kind fail.Kind, text string, in func() (int, error)) {
	t.Helper()
	got, err := in()
	if got != want || (err != nil) != (want == 0) || err != nil && (!fail.Is(err, kind) || !strings.Contains(err.Error(), text)) {
		t.Errorf("%s: %d, %v; want %d, %s", choice, got, err, want, text)
	}
}
