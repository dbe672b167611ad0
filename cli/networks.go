package cli

import (
	"context"
	"strconv"
	"strings"

	"croft/runtime"
)

func networkVerb() *verb {
	return &verb{
		name: "network", group: groupThings, args: "COMMAND",
		summary:  "make networks, look at them, repair and remove them",
		synonyms: []string{"networks", "net"},
		verbs:    []*verb{networkCreateVerb(), networkListVerb(), networkInspectVerb(), networkRepairVerb(), networkRemoveVerb()},
	}
}

func networkCreateVerb() *verb {
	return &verb{
		name: "create", args: "NAME",
		summary: "make a network",
		about: `Of mode bridge, with prefixes that nobody has, unless the options say otherwise:

  bridge    a bridge of croft's, or with --bridge one of yours, whose LAN the
            VPSs are then on
  routed    no bridge: the host has a route to each VPS, and with --parent
            answers for it on the LAN that this link is on
  macvlan   interfaces of the LAN that --parent is on, without croft's filters
  physical  the link --parent itself, which one VPS has at a time

VPSs do not see each other's frames. They reach each other through the host,
but on a bridge of yours only with --segment.`,
		options: []option{
			{name: "mode", placeholder: "MODE", usage: "bridge, routed, macvlan or physical", choices: runtime.NetworkModes()},
			{name: "bridge", placeholder: "LINK", usage: "a bridge of yours, which croft adds ports to and leaves as it is otherwise"},
			{name: "parent", placeholder: "LINK", usage: "the host's link of modes routed, macvlan and physical"},
			{name: "ipv4", placeholder: "PREFIX|none", usage: "where its VPSs have addresses; none: nowhere"},
			{name: "ipv6", placeholder: "PREFIX|none", usage: "the same for IPv6"},
			{name: "gateway", placeholder: "ADDRESS", usage: "the LAN's router, one of each family", many: true},
			{name: "mtu", placeholder: "BYTES", usage: "of its interfaces (the uplink's)"},
			{name: "no-nat", usage: "let VPSs keep their addresses outside, and be reached there"},
			{name: "private", usage: "VPSs do not reach each other at all"},
			{name: "segment", usage: "VPSs share a segment: broadcast and multicast among them"},
		},
		synonyms: []string{"add", "new"},
		run: func(ctx context.Context, i *invocation) error {
			s := networkSettings(i)
			return forOne(ctx, i, "create network", func(ctx context.Context, m Manager, name string) error {
				s.Name = name
				info, err := m.CreateNetwork(ctx, s)
				if err != nil {
					return err
				}
				return i.print(strings.TrimSpace(info.Name+" "+info.IPv4+" "+info.IPv6) + "\n")
			})
		},
	}
}

// networkSettings reads what is said of a new network; what is wrong with it
// is in i.err.
func networkSettings(i *invocation) runtime.NetworkSettings {
	s := runtime.NetworkSettings{
		Mode: get(i, "mode", parseMode), Bridge: get(i, "bridge", parseInterface), Parent: get(i, "parent", parseInterface),
		Gateways: getMany(i, "gateway", parseAddress), MTU: get(i, "mtu", parseBytes),
		NoNAT: i.flags.Bool("no-nat"), Private: i.flags.Bool("private"), Segment: i.flags.Bool("segment"),
	}
	s.IPv4, s.NoIPv4 = get(i, "ipv4", parseIPv4Prefix).split()
	s.IPv6, s.NoIPv6 = get(i, "ipv6", parseIPv6Prefix).split()
	return s
}

func networkListVerb() *verb {
	return &verb{
		name:    "list",
		summary: "list the networks",
		about:   `The default one is there as soon as a VPS has asked for it.`,
		options: []option{
			jsonOption("everything about each, as a JSON array"),
			{name: "quiet", short: "q", usage: "only the names"},
			{name: "no-header", usage: "no line with the columns' names"},
		},
		aliases: []string{"ls"},
		run: func(ctx context.Context, i *invocation) error {
			m, err := listing(i)
			if err != nil {
				return err
			}
			networks, err := m.Networks(ctx)
			if err != nil {
				return err
			}
			t := table{{"NAME", "MODE", "BRIDGE", "IPV4", "IPV6", "INTERFACES"}}
			for _, n := range networks {
				t = append(t, []string{n.Name, string(n.Mode), n.Bridge, n.IPv4, n.IPv6, strconv.Itoa(len(n.Claims))})
			}
			if networks == nil {
				networks = []runtime.NetworkInfo{}
			}
			return printListing(i, networks, t)
		},
	}
}

func networkInspectVerb() *verb {
	return &verb{
		name: "inspect", args: "NAME...", words: networkNames,
		summary:  "show everything about networks, as JSON",
		about:    `One name gives an object, several an array.`,
		options:  []option{jsonOption("say so: the output is JSON anyway")},
		aliases:  []string{"show"},
		synonyms: []string{"info"},
		run: func(ctx context.Context, i *invocation) error {
			var networks []runtime.NetworkInfo
			first := eachWord(ctx, i, "inspect", parseName, func(m Manager, name string) error {
				n, err := m.Network(ctx, name)
				if err == nil {
					networks = append(networks, n)
				}
				return err
			})
			if first != nil && len(networks) == 0 {
				return first
			}
			if err := printOneOrMany(i, networks); err != nil {
				return err
			}
			return first
		},
	}
}

func networkRepairVerb() *verb {
	return &verb{
		name: "repair", args: "[NAME...]", words: networkNames,
		summary: "make the host match its networks again",
		about: `What others have removed or changed of a network's bridge, addresses and
filters is put back, also for the VPSs that run on it. Nothing wrong is
success. Without a NAME every network is repaired.`,
		run: func(ctx context.Context, i *invocation) error {
			if len(i.words) == 0 {
				return repairAll(ctx, i)
			}
			return eachWord(ctx, i, "repair", parseName, func(m Manager, name string) error { return m.RepairNetwork(ctx, name) })
		},
	}
}

// repairAll is network repair with every network's name.
func repairAll(ctx context.Context, i *invocation) error {
	m, err := i.manager()
	if err != nil {
		return err
	}
	networks, err := m.Networks(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, n := range networks {
		names = append(names, n.Name)
	}
	return tryEach(ctx, i, names, "repair", func(name string) error { return m.RepairNetwork(ctx, name) })
}

func networkRemoveVerb() *verb {
	return &verb{
		name: "remove", args: "NAME...", words: networkNames,
		summary: "remove networks that no VPS is on",
		about: `One that a VPS is on, running or not, is refused, and stays. With --force one
whose file cannot be read is removed too, if no VPS on it runs; the file is
kept as NAME.json.broken. VPSs on it get new addresses at their next start,
once there is a network of that name again. croft0 is made by the start.`,
		options:  []option{{name: "force", short: "f", usage: "also if its file cannot be read"}},
		aliases:  []string{"rm"},
		synonyms: []string{"delete", "destroy"},
		run: func(ctx context.Context, i *invocation) error {
			return eachWord(ctx, i, "remove", parseName, func(m Manager, name string) error { return m.RemoveNetwork(ctx, name, i.flags.Bool("force")) })
		},
	}
}
