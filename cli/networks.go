package cli

import (
	"context"
	"strconv"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

func (a *app) networkVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "network", Group: groupNets, Args: "COMMAND",
		Summary:  "create, change, list, repair and remove networks",
		Synonyms: []string{"networks", "net"},
		Verbs:    []*cmdline.Verb{a.networkCreateVerb(), a.networkSetVerb(), a.networkListVerb(), a.networkInspectVerb(), a.networkRepairVerb(), a.networkRemoveVerb()},
	}
}

func (a *app) networkCreateVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Args: "NAME",
		Summary: "create a network",
		Examples: []string{
			"croft network create dmz --ipv4 10.20.0.0/24",
			"croft network create lan --bridge br0 --ipv4 10.1.0.0/16 --gateway 10.1.0.1",
		},
		About: `The modes are:

  bridge    a bridge of croft, or with --bridge an existing bridge; the VPSs are
            then on its LAN
  routed    no bridge: the host has a route to each VPS; with --parent the host
            answers for the VPSs on the LAN of that link
  macvlan   interfaces on the LAN of --parent, without croft's filters
  physical  the link --parent itself, for one VPS at a time

VPSs do not see each other's frames. They reach each other through the host, but
on an existing bridge only with --segment.

Prints the name and the prefixes of the network.`,
		Options: []cmdline.Option{
			{Name: "mode", Placeholder: "MODE", Usage: "bridge, routed, macvlan or physical (default: bridge)", Choices: runtime.NetworkModes()},
			{Name: "bridge", Placeholder: "LINK", Usage: "existing bridge to use; croft only adds ports to it"},
			{Name: "parent", Placeholder: "LINK", Usage: "host interface of the modes routed, macvlan and physical"},
			{Name: "ipv4", Placeholder: "PREFIX|none", Usage: "IPv4 prefix of the VPSs, or none (default: an unused prefix)"},
			{Name: "ipv6", Placeholder: "PREFIX|none", Usage: "IPv6 prefix of the VPSs, or none (default: an unused prefix)"},
			{Name: "gateway", Placeholder: "ADDRESS", Usage: "router of the LAN; may be repeated, once for each family", Many: true},
			{Name: "mtu", Placeholder: "BYTES", Usage: "MTU of the interfaces (default: the uplink's)"},
			{Name: "no-nat", Usage: "do not translate addresses: VPSs are reached by their own"},
			{Name: "private", Usage: "VPSs cannot reach each other"},
			{Name: "segment", Usage: "VPSs share broadcast and multicast"},
			namesOption("VPSs get each other's names in /etc/hosts: yes or no (default: yes)"),
		},
		Synonyms: []string{"add", "new"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			s := networkSettings(i)
			return forOne(ctx, i, "create network", func(ctx context.Context, m Manager, name vps.Name) error {
				s.Name = string(name)
				info, err := m.CreateNetwork(ctx, s)
				if err != nil {
					return err
				}
				return i.print(strings.TrimSpace(info.Name+" "+info.IPv4+" "+info.IPv6) + "\n")
			})
		}),
	}
}

// networkSettings reads the settings of a new network. An error is in i.Err.
func networkSettings(i *invocation) runtime.NetworkSettings {
	s := runtime.NetworkSettings{
		Mode: get(i, "mode", values.Mode), Bridge: get(i, "bridge", values.Interface), Parent: get(i, "parent", values.Interface),
		Gateways: getMany(i, "gateway", values.Address), MTU: get(i, "mtu", values.Bytes),
		NoNAT: i.Is("no-nat"), Private: i.Is("private"), Segment: i.Is("segment"),
		NoNames: i.Has("names") && !get(i, "names", values.YesNo),
	}
	s.IPv4, s.NoIPv4 = get(i, "ipv4", values.IPv4Prefix).Split()
	s.IPv6, s.NoIPv6 = get(i, "ipv6", values.IPv6Prefix).Split()
	return s
}

func namesOption(usage string) cmdline.Option {
	return cmdline.Option{Name: "names", Placeholder: "yes|no", Usage: usage, Choices: values.YesNos()}
}

func (a *app) networkSetVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "set", Args: "NAME", Words: networkNames,
		Summary:  "change a network",
		Examples: []string{"croft network set croft0 --names no"},
		About: `The change is saved and takes effect at once, also in running VPSs. With --names
no, a VPS has only its own name in /etc/hosts. VPSs still reach each other by
their addresses; see --private of "croft network create".`,
		Options:  []cmdline.Option{namesOption("VPSs get each other's names in /etc/hosts: yes or no")},
		Synonyms: []string{"update", "edit", "change"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			names := get(i, "names", values.YesNo)
			if !i.Has("names") && i.Err == nil {
				i.Err = usageError("network set: nothing to change: give --names yes or --names no")
			}
			name, err := i.One("NAME")
			if err != nil {
				return err
			}
			if _, err := values.NetworkName(name); err != nil {
				return usageError("%w", err)
			}
			m, err := i.manager()
			if err != nil {
				return err
			}
			return cannot("change network", name, m.SetNetwork(ctx, name, runtime.NetworkChange{Names: &names}))
		}),
	}
}

func (a *app) networkListVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "list",
		Query:    true,
		Summary:  "list networks",
		Examples: []string{"croft network list"},
		About:    `The default network, croft0, is created with the first VPS.`,
		Options:  append(tableOptions("print everything about each network as a JSON array"), quietOption()),
		Aliases:  []string{"ls"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o, m, err := listing[runtime.NetworkInfo](i)
			if err != nil {
				return err
			}
			networks, err := m.Networks(ctx)
			if err != nil {
				return err
			}
			t := display.Table{{"NAME", "MODE", "BRIDGE", "IPV4", "IPV6", "INTERFACES"}}
			for _, n := range networks {
				t = append(t, []string{n.Name, string(n.Mode), n.Bridge, n.IPv4, n.IPv6, strconv.Itoa(len(n.Claims))})
			}
			return printAll(o, networks, t)
		}),
	}
}

func (a *app) networkInspectVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "inspect", Args: "NAME...", Words: networkNames,
		Query:    true,
		Summary:  "show everything about networks as JSON",
		Examples: []string{"croft network inspect croft0"},
		About:    `One name gives an object, several names give an array.`,
		Options:  []cmdline.Option{jsonOption("accepted for consistency; output is always JSON"), objectFormatOption()},
		Aliases:  []string{"show"},
		Synonyms: []string{"info"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o := objectsOf[runtime.NetworkInfo](i)
			var networks []runtime.NetworkInfo
			first := eachWord(ctx, i, "inspect", values.NetworkName, func(m Manager, name string) error {
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
		}),
	}
}

func (a *app) networkRepairVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "repair", Args: "[NAME...]", Words: networkNames,
		Summary:  "repair networks on this host",
		Examples: []string{"croft network repair"},
		About: `Restores what other programs removed or changed of a network's bridge, addresses
and filters, also for running VPSs. Succeeds if nothing needs repair. Without
NAME every network is repaired.

If the file of the addresses is damaged, it is written again. A VPS that has lost
its addresses must not run, and gets new ones at its next start.`,
		Run: a.run(func(ctx context.Context, i *invocation) error {
			if len(i.Words) == 0 {
				return repairAll(ctx, i)
			}
			return eachWord(ctx, i, "repair", values.NetworkName, func(m Manager, name string) error { return m.RepairNetwork(ctx, name) })
		}),
	}
}

// repairAll repairs every network.
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

func (a *app) networkRemoveVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME...", Words: networkNames,
		Summary:  "remove networks that no VPS is on",
		Examples: []string{"croft network remove dmz"},
		About: `A network with a VPS on it, running or not, is not removed, and the command fails.

With --force a network whose file cannot be read is removed too, if no VPS on it
runs; the file is kept as NAME.json.broken. Its VPSs get new addresses at their
next start, when a network of that name exists again; a start creates croft0.`,
		Options:  []cmdline.Option{{Name: "force", Short: "f", Usage: "remove it even if its file cannot be read"}},
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "destroy"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return eachWord(ctx, i, "remove", values.NetworkName, func(m Manager, name string) error { return m.RemoveNetwork(ctx, name, i.Is("force")) })
		}),
	}
}
