package cli

import (
	"context"
	"strconv"
	"strings"

	"croft/internal/vps"
	"croft/runtime"
)

func networkVerb() *verb {
	return &verb{
		name: "network", group: groupNets, args: "COMMAND",
		summary:  "create, change, list, repair and remove networks",
		synonyms: []string{"networks", "net"},
		verbs:    []*verb{networkCreateVerb(), networkSetVerb(), networkListVerb(), networkInspectVerb(), networkRepairVerb(), networkRemoveVerb()},
	}
}

func networkCreateVerb() *verb {
	return &verb{
		name: "create", args: "NAME",
		summary: "create a network",
		examples: []string{
			"croft network create dmz --ipv4 10.20.0.0/24",
			"croft network create lan --bridge br0 --ipv4 10.1.0.0/16 --gateway 10.1.0.1",
		},
		about: `The modes are:

  bridge    a bridge of croft, or with --bridge an existing bridge; the VPSs are
            then on its LAN
  routed    no bridge: the host has a route to each VPS; with --parent the host
            answers for the VPSs on the LAN of that link
  macvlan   interfaces on the LAN of --parent, without croft's filters
  physical  the link --parent itself, for one VPS at a time

VPSs do not see each other's frames. They reach each other through the host, but
on an existing bridge only with --segment.

Prints the name and the prefixes of the network.`,
		options: []option{
			{name: "mode", placeholder: "MODE", usage: "bridge, routed, macvlan or physical (default: bridge)", choices: runtime.NetworkModes()},
			{name: "bridge", placeholder: "LINK", usage: "existing bridge to use; croft only adds ports to it"},
			{name: "parent", placeholder: "LINK", usage: "host interface of the modes routed, macvlan and physical"},
			{name: "ipv4", placeholder: "PREFIX|none", usage: "IPv4 prefix of the VPSs, or none (default: an unused prefix)"},
			{name: "ipv6", placeholder: "PREFIX|none", usage: "IPv6 prefix of the VPSs, or none (default: an unused prefix)"},
			{name: "gateway", placeholder: "ADDRESS", usage: "router of the LAN; may be repeated, once for each family", many: true},
			{name: "mtu", placeholder: "BYTES", usage: "MTU of the interfaces (default: the uplink's)"},
			{name: "no-nat", usage: "do not translate addresses: VPSs are reached by their own"},
			{name: "private", usage: "VPSs cannot reach each other"},
			{name: "segment", usage: "VPSs share broadcast and multicast"},
			namesOption("VPSs get each other's names in /etc/hosts: yes or no (default: yes)"),
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
		NoNames: i.has("names") && !get(i, "names", parseYesNo),
	}
	s.IPv4, s.NoIPv4 = get(i, "ipv4", parseIPv4Prefix).split()
	s.IPv6, s.NoIPv6 = get(i, "ipv6", parseIPv6Prefix).split()
	return s
}

func namesOption(usage string) option {
	return option{name: "names", placeholder: "yes|no", usage: usage, choices: []string{"yes", "no"}}
}

func networkSetVerb() *verb {
	return &verb{
		name: "set", args: "NAME", words: networkNames,
		summary:  "change a network",
		examples: []string{"croft network set croft0 --names no"},
		about: `The change is saved and takes effect at once, also in running VPSs. With --names
no, a VPS has only its own name in /etc/hosts. VPSs still reach each other by
their addresses; see --private of "croft network create".`,
		options:  []option{namesOption("VPSs get each other's names in /etc/hosts: yes or no")},
		synonyms: []string{"update", "edit", "change"},
		run: func(ctx context.Context, i *invocation) error {
			names := get(i, "names", parseYesNo)
			if !i.has("names") && i.err == nil {
				i.err = usageError("network set: nothing to change: give --names yes or --names no")
			}
			name, err := i.one("NAME")
			if err != nil {
				return err
			}
			return forName(i, name, "change network", func(m Manager) error {
				return m.SetNetwork(ctx, name, runtime.NetworkChange{Names: &names})
			})
		},
	}
}

func networkListVerb() *verb {
	return &verb{
		name:     "list",
		query:    true,
		summary:  "list networks",
		examples: []string{"croft network list"},
		about:    `The default network, croft0, is created with the first VPS.`,
		options:  append(tableOptions("print everything about each network as a JSON array"), quietOption()),
		aliases:  []string{"ls"},
		run: func(ctx context.Context, i *invocation) error {
			o, m, err := listing[runtime.NetworkInfo](i)
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
			return printAll(o, networks, t)
		},
	}
}

func networkInspectVerb() *verb {
	return &verb{
		name: "inspect", args: "NAME...", words: networkNames,
		query:    true,
		summary:  "show everything about networks as JSON",
		examples: []string{"croft network inspect croft0"},
		about:    `One name gives an object, several names give an array.`,
		options:  []option{jsonOption("accepted for consistency; output is always JSON"), objectFormatOption()},
		aliases:  []string{"show"},
		synonyms: []string{"info"},
		run: func(ctx context.Context, i *invocation) error {
			o := objectsOf[runtime.NetworkInfo](i)
			var networks []runtime.NetworkInfo
			first := eachWord(ctx, i, "inspect", vps.ParseName, func(m Manager, name string) error {
				n, err := m.Network(ctx, name)
				if err == nil {
					networks = append(networks, n)
				}
				return err
			})
			if first != nil && len(networks) == 0 {
				return first
			}
			if err := printOneOrMany(o, networks); err != nil {
				return err
			}
			return first
		},
	}
}

func networkRepairVerb() *verb {
	return &verb{
		name: "repair", args: "[NAME...]", words: networkNames,
		summary:  "repair networks on this host",
		examples: []string{"croft network repair"},
		about: `Restores what other programs removed or changed of a network's bridge, addresses
and filters, also for running VPSs. Succeeds if nothing needs repair. Without
NAME every network is repaired.

If the file of the addresses is damaged, it is written again. A VPS that has lost
its addresses must not run, and gets new ones at its next start.`,
		run: func(ctx context.Context, i *invocation) error {
			if len(i.words) == 0 {
				return repairAll(ctx, i)
			}
			return eachWord(ctx, i, "repair", vps.ParseName, func(m Manager, name string) error { return m.RepairNetwork(ctx, name) })
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
		summary:  "remove networks that no VPS is on",
		examples: []string{"croft network remove dmz"},
		about: `A network with a VPS on it, running or not, is not removed, and the command fails.

With --force a network whose file cannot be read is removed too, if no VPS on it
runs; the file is kept as NAME.json.broken. Its VPSs get new addresses at their
next start, when a network of that name exists again; a start creates croft0.`,
		options:  []option{{name: "force", short: "f", usage: "remove it even if its file cannot be read"}},
		aliases:  []string{"rm"},
		synonyms: []string{"delete", "destroy"},
		run: func(ctx context.Context, i *invocation) error {
			return eachWord(ctx, i, "remove", vps.ParseName, func(m Manager, name string) error { return m.RemoveNetwork(ctx, name, i.flags.Bool("force")) })
		},
	}
}
