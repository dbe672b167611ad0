package networks

import (
	"context"
	"slices"
	"strconv"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

// RouteVerb returns the command route.
func RouteVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "route", Group: command.GroupChange, Args: "NAME COMMAND", Words: command.VPSNames, Named: true,
		Summary: "manage the routes and routing rules of a VPS",
		Examples: []string{
			"croft route web add 192.0.2.0/24 --mtu 1300 --src 10.90.0.7",
			"croft route web add default --via 10.90.0.1 --table 100",
			"croft route web rule --from 10.90.0.7 --table 100",
			"croft route web list",
		},
		Synonyms: []string{"routes", "ip"},
		About: `Routes and rules are saved with the VPS and set inside it, at once and at every
start. Routes that the VPS sets itself ("ip route", "ip rule") are not changed.`,
		Verbs: []*cmdline.Verb{
			routeListVerb(a), routeAddVerb(a), routeRuleVerb(a), routeRemoveVerb(a),
			editVerb(a, &cmdline.Verb{
				Name: "flush", Harmful: true, Summary: "remove all routes and rules that croft set", Examples: []string{"croft route web flush"},
				About:    "If one of them replaced the network's default route, that route is restored.",
				Synonyms: []string{"clear", "reset"},
			}, "change the routes", vps.FlushRoutes{}),
			editVerb(a, &cmdline.Verb{
				Name: "apply", Summary: "restore routes and rules that were removed inside the VPS", Examples: []string{"croft route web apply"},
				About:    "Every start does the same.",
				Synonyms: []string{"repair", "reload"},
			}, "change the routes", vps.Reapply{What: vps.PartRouting}),
		},
	}
}

func routeListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "list", Args: "NAME", Words: command.VPSNames,
		Query:    true,
		Summary:  "list routes and rules",
		Examples: []string{"croft route web list"},
		About: `Routes and rules with a number are set by croft, the others by the VPS. For a
stopped VPS the saved ones are listed. Routes that the kernel sets itself are
omitted.`,
		Options: command.TableOptions("print everything as JSON"),
		Aliases: []string{"ls", "show"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.OutputOf[runtime.RoutingInfo](i)
			return command.ForOne(ctx, i, "list the routes", func(ctx context.Context, m command.Manager, name vps.Name) error {
				info, err := m.Routing(ctx, name)
				if err != nil {
					return err
				}
				if err := command.PrintOne(o, info, routeTable(info), "ADVMSS", "MTU", "METRIC", "SRC"); err != nil {
					return err
				}
				if o.Name != display.FormatJSON && info.Running && !info.Applied {
					i.Screen.Warn("some routes are missing in the VPS; restore them with: croft route " + string(name) + " apply")
				}
				return nil
			})
		}),
	}
}

func routeTable(info runtime.RoutingInfo) display.Table {
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
		return "active"
	}
	t := display.Table{{"NUMBER", "KIND", "DESTINATION", "FROM", "VIA", "DEV", "SRC", "MTU", "ADVMSS", "TABLE", "METRIC", "STATE"}}
	for _, r := range info.Routes {
		t = append(t, []string{number(r.Number), "route", r.Destination, "", r.Via, r.Dev, r.Src, number(r.MTU), number(r.AdvMSS),
			number(r.Table), number(r.Metric), state(r.Applied)})
	}
	for _, r := range info.Rules {
		t = append(t, []string{number(r.Number), "rule", r.To, r.From, "", "", "", "", "", number(r.Table), number(r.Priority), state(r.Applied)})
	}
	return t
}

func routeAddVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "add", Args: "NAME DESTINATION", Words: command.VPSNames,
		Summary:  "add a route",
		Examples: []string{"croft route web add 192.0.2.0/24 --via 10.90.0.9"},
		About: `DESTINATION is an address, a prefix or default. Without --via and --dev the route
uses the gateway of the network. Adding the same route again succeeds.`,
		Options:  routeOptions("routing table (default: 254, main)"),
		Synonyms: []string{"replace", "set"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			r := readRoute(i)
			name, words, err := nameAnd(i)
			if err != nil {
				return err
			}
			if len(words) != 1 {
				return command.UsageError("route add takes one DESTINATION, for example: croft route %s add 192.0.2.0/24 --mtu 1300", name)
			}
			if r.Destination, err = values.Destination(words[0], r.Via+r.Src); err != nil {
				return command.UsageError("route add: %w", err)
			}
			return changeNamed(ctx, i, name, "change the routes", vps.AddRoute{Route: r})
		}),
	}
}

// routeOptions returns the options of a route.
func routeOptions(table string) []cmdline.Option {
	return []cmdline.Option{
		{Name: "via", Placeholder: "ADDRESS", Usage: "next hop"},
		{Name: "dev", Placeholder: "INTERFACE", Usage: "interface inside the VPS"},
		{Name: "src", Placeholder: "ADDRESS", Usage: "source address of packets from the VPS to DESTINATION"},
		{Name: "mtu", Placeholder: "BYTES", Usage: "largest packet size"},
		{Name: "advmss", Placeholder: "BYTES", Usage: "largest TCP segment size to announce"},
		{Name: "table", Placeholder: "NUMBER", Usage: table},
		{Name: "metric", Placeholder: "NUMBER", Usage: "metric; the route with the lowest one is used"},
	}
}

// readRoute returns the route of the options, without a destination.
func readRoute(i *command.Invocation) vps.Route {
	return vps.Route{
		Via: command.Get(i, "via", values.PlainAddress), Dev: command.Get(i, "dev", values.Interface), Src: command.Get(i, "src", values.PlainAddress),
		MTU: command.Get(i, "mtu", values.Bytes), AdvMSS: command.Get(i, "advmss", values.Bytes),
		Table: command.Get(i, "table", values.RouteTable), Metric: command.Get(i, "metric", values.Metric),
	}
}

func routeRuleVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "rule", Args: "NAME", Words: command.VPSNames,
		Summary:  "add a policy routing rule",
		Examples: []string{"croft route web rule --from 10.90.0.7 --table 100"},
		Options:  slices.Insert(routeRuleOptions(), 2, cmdline.Option{Name: "table", Placeholder: "NUMBER", Usage: "routing table to use"}),
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			r := readRouteRule(i)
			switch {
			case len(i.Words) == 2 && i.Words[1] == "remove":
				return command.UsageError("route rule: it adds a rule and cannot remove one").WithHint("croft help route remove")
			case i.Err != nil:
			case r.From == "" && r.To == "":
				i.Err = command.UsageError("route rule: neither --from nor --to is given")
			case r.Table == 0:
				i.Err = command.UsageError("route rule: no --table given")
			}
			return command.ForOne(ctx, i, "change the routes", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Change(ctx, name, vps.AddRouteRule{Rule: r})
			})
		}),
	}
}

// routeRuleOptions returns the options of a routing rule.
func routeRuleOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "from", Placeholder: "ADDRESS", Usage: "match the source address or prefix"},
		{Name: "to", Placeholder: "ADDRESS", Usage: "match the destination address or prefix"},
		{Name: "priority", Placeholder: "NUMBER", Usage: "1 to 32767; lower ones come first (default: before main)"},
	}
}

func readRouteRule(i *command.Invocation) vps.RouteRule {
	return vps.RouteRule{
		From: command.Get(i, "from", values.Place), To: command.Get(i, "to", values.Place),
		Table: command.Get(i, "table", values.RouteTable), Priority: command.Get(i, "priority", values.Priority),
	}
}

func routeRemoveVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME NUMBER...|DESTINATION|rule", Words: command.VPSNames, After: command.RoutesOfVPS,
		Summary: "remove routes and rules, by number or by what they say",
		Examples: []string{
			"croft route web remove 1",
			"croft route web remove 192.0.2.0/24 --table 100",
			"croft route web remove rule --from 10.90.0.7 --table 100",
		},
		About: `The numbers are those of the list before the command. An option that is not
given matches any value: DESTINATION alone is the route to it in any table. After
the word rule, the options choose a routing rule. If several match, the error
lists them and nothing is removed.`,
		Options:  append(routeOptions("routing table (254 is main)"), routeRuleOptions()...),
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "del"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			name, chosen, err := nameAndChoices(i, routeChoices)
			if err != nil {
				return err
			}
			return changeNamed(ctx, i, name, "change the routes", vps.RemoveRoutes{Chosen: chosen})
		}),
	}
}

// routeChoices reads the words after the NAME of route remove.
func routeChoices(i *command.Invocation, name vps.Name, words []string) ([]vps.RouteChoice, error) {
	ofRoutes, ofRules := []string{"via", "dev", "src", "mtu", "advmss", "metric"}, []string{"from", "to", "priority"}
	if len(words) == 0 {
		return nil, command.UsageError("route remove: no NUMBER, DESTINATION or rule given").WithHint("croft route %s list", name)
	}
	if words[0] == "rule" {
		onlyFor(i, "a DESTINATION", ofRoutes)
		r := readRouteRule(i)
		switch {
		case len(words) > 1:
			return nil, command.UsageError("route remove rule takes options only; unexpected argument %q", words[1])
		case i.Err == nil && r == vps.RouteRule{}:
			return nil, command.UsageError("route remove rule: give --from, --to, --table or --priority").WithHint("croft route %s list", name)
		}
		return []vps.RouteChoice{{Rule: r}}, i.Err
	}
	if _, err := values.Number(words[0]); err == nil {
		onlyFor(i, "a DESTINATION or the word rule", slices.Concat(ofRoutes, ofRules, []string{"table"}))
		var chosen []vps.RouteChoice
		numbers, err := numbers(i, name, words)
		for _, n := range numbers {
			chosen = append(chosen, vps.RouteChoice{Number: n})
		}
		return chosen, err
	}
	onlyFor(i, "the word rule", ofRules)
	r := readRoute(i)
	if len(words) > 1 {
		return nil, command.UsageError("route remove takes one DESTINATION; unexpected argument %q", words[1])
	}
	r.Destination = words[0]
	if words[0] != "default" || r.Via+r.Src != "" { // else it is the default route of either family
		var err error
		if r.Destination, err = values.Destination(words[0], r.Via+r.Src); err != nil {
			return nil, command.UsageError("route remove: %w", err).WithHint("croft route %s list", name)
		}
	}
	return []vps.RouteChoice{{Route: r}}, i.Err
}

// onlyFor refuses options that are only for something else.
func onlyFor(i *command.Invocation, what string, options []string) {
	for _, o := range options {
		if i.Err == nil && i.Has(o) {
			i.Err = command.UsageError("--%s: only with %s", o, what)
		}
	}
}
