package cli

import (
	"context"
	"strconv"

	"croft/runtime"
)

func routeVerb() *verb {
	return &verb{
		name: "route", group: groupChange, args: "NAME COMMAND", words: vpsNames, named: true,
		summary:  "give a VPS routes and routing rules of its own",
		synonyms: []string{"routes", "ip"},
		about: `They are kept with the VPS and set inside of it, at once and at every start.
What the VPS sets itself ("ip route", "ip rule") stays beside them.

  croft route web add 192.0.2.0/24 --mtu 1300 --src 10.90.0.7
  croft route web add default --via 10.90.0.1 --table 100
  croft route web rule --from 10.90.0.7 --table 100
  croft route web list`,
		verbs: []*verb{
			routeListVerb(), routeAddVerb(), routeRuleVerb(), routeRemoveVerb(),
			nameOnlyVerb("flush", "remove every route and rule of croft's",
				`The network's default route comes back, if one of them was in its place.`,
				[]string{"clear", "reset"}, "change the routes", Manager.FlushRoutes),
			nameOnlyVerb("apply", "put back what somebody inside took away",
				`That is what happens at a start anyway.`,
				[]string{"repair", "reload"}, "change the routes", Manager.ApplyRoutes),
		},
	}
}

// nameOnlyVerb is one that does something to one VPS and takes no options.
func nameOnlyVerb(name, summary, about string, synonyms []string, act string, do func(Manager, context.Context, string) error) *verb {
	return &verb{
		name: name, args: "NAME", words: vpsNames, summary: summary, about: about, synonyms: synonyms,
		run: func(ctx context.Context, i *invocation) error {
			return forOne(ctx, i, act, func(ctx context.Context, m Manager, vps string) error { return do(m, ctx, vps) })
		},
	}
}

func routeListVerb() *verb {
	return &verb{
		name: "list", args: "NAME", words: vpsNames,
		summary: "list the routes and rules that there are",
		about: `Those with a number are croft's, the others the VPS's own. Of a VPS that does
not run what is saved is shown. What the kernel keeps by itself is left out.`,
		options: []option{jsonOption("everything, as JSON"), {name: "no-header", usage: "no line with the columns' names"}},
		aliases: []string{"ls", "show"},
		run: func(ctx context.Context, i *invocation) error {
			return forOne(ctx, i, "list the routes", func(ctx context.Context, m Manager, name string) error {
				info, err := m.Routing(ctx, name)
				if err != nil {
					return err
				}
				if i.flags.Bool("json") {
					return i.printJSON(info)
				}
				t := routeTable(info)
				if i.flags.Bool("no-header") {
					t = t[1:]
				}
				if err := i.print(t.String()); err != nil {
					return err
				}
				if info.Running && !info.Applied {
					i.screen.warn("not all of it is in the VPS: croft route " + name + " apply")
				}
				return nil
			})
		},
	}
}

func routeTable(info runtime.RoutingInfo) table {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	state := func(applied bool) string {
		switch {
		case !info.Running:
			return "saved"
		case !applied:
			return "missing"
		}
		return "there"
	}
	t := table{{"NUMBER", "KIND", "DESTINATION", "FROM", "VIA", "DEV", "SRC", "MTU", "ADVMSS", "TABLE", "METRIC", "STATE"}}
	for _, r := range info.Routes {
		t = append(t, []string{number(r.Number), "route", r.Destination, "", r.Via, r.Dev, r.Src, number(r.MTU), number(r.AdvMSS),
			number(r.Table), number(r.Metric), state(r.Applied)})
	}
	for _, r := range info.Rules {
		t = append(t, []string{number(r.Number), "rule", r.To, r.From, "", "", "", "", "", number(r.Table), number(r.Priority), state(r.Applied)})
	}
	return t
}

func routeAddVerb() *verb {
	return &verb{
		name: "add", args: "NAME DESTINATION", words: vpsNames,
		summary: "add a route",
		about: `DESTINATION is an address, a prefix, or default. Without --via and --dev it goes
by the network's gateway, so that only what is different has to be said.`,
		options: []option{
			{name: "via", placeholder: "ADDRESS", usage: "the next hop"},
			{name: "dev", placeholder: "INTERFACE", usage: "the interface inside"},
			{name: "src", placeholder: "ADDRESS", usage: "the source address of what the VPS itself sends there"},
			{name: "mtu", placeholder: "BYTES", usage: "the largest packet"},
			{name: "advmss", placeholder: "BYTES", usage: "the largest TCP segment that the other side is told"},
			{name: "table", placeholder: "NUMBER", usage: "the routing table (254, main)"},
			{name: "metric", placeholder: "NUMBER", usage: "of several to one destination the lowest counts"},
		},
		synonyms: []string{"replace", "set"},
		run: func(ctx context.Context, i *invocation) error {
			r := runtime.Route{
				Via: get(i, "via", parsePlainAddress), Dev: get(i, "dev", parseInterface), Src: get(i, "src", parsePlainAddress),
				MTU: get(i, "mtu", parseBytes), AdvMSS: get(i, "advmss", parseBytes),
				Table: get(i, "table", parseRouteTable), Metric: get(i, "metric", parseMetric),
			}
			name, words, err := i.nameAnd()
			if err != nil {
				return err
			}
			if len(words) != 1 {
				return usageError("route add: one DESTINATION: croft route %s add 192.0.2.0/24 --mtu 1300", name)
			}
			if r.Destination, err = parseDestination(words[0], r.Via+r.Src); err != nil {
				return usageError("route add: %w", err)
			}
			return forName(i, name, "change the routes", func(m Manager) error { return m.AddRoute(ctx, name, r) })
		},
	}
}

func routeRuleVerb() *verb {
	return &verb{
		name: "rule", args: "NAME", words: vpsNames,
		summary: "say for which packets a table is looked at",
		options: []option{
			{name: "from", placeholder: "ADDRESS", usage: "what comes from this address or prefix"},
			{name: "to", placeholder: "ADDRESS", usage: "what goes to this address or prefix"},
			{name: "table", placeholder: "NUMBER", usage: "the routing table"},
			{name: "priority", placeholder: "NUMBER", usage: "lower ones come first, to 32767 (before main)"},
		},
		run: func(ctx context.Context, i *invocation) error {
			r := runtime.RouteRule{
				From: get(i, "from", parsePlace), To: get(i, "to", parsePlace),
				Table: get(i, "table", parseRouteTable), Priority: get(i, "priority", parsePriority),
			}
			switch {
			case i.err != nil:
			case r.From == "" && r.To == "":
				i.err = usageError("route rule: neither --from nor --to is given")
			case r.Table == 0:
				i.err = usageError("route rule: no --table given")
			}
			return forOne(ctx, i, "change the routes", func(ctx context.Context, m Manager, name string) error { return m.AddRouteRule(ctx, name, r) })
		},
	}
}

func routeRemoveVerb() *verb {
	return &verb{
		name: "remove", args: "NAME NUMBER...", words: vpsNames,
		summary:  "remove routes and rules, by their numbers in the list",
		about:    `All numbers are those before the first is removed.`,
		aliases:  []string{"rm"},
		synonyms: []string{"delete", "del"},
		run: func(ctx context.Context, i *invocation) error {
			name, numbers, err := i.nameAndNumbers()
			if err != nil {
				return err
			}
			return forName(i, name, "change the routes", func(m Manager) error { return m.RemoveRoutes(ctx, name, numbers) })
		},
	}
}
