// Package networks has the commands for networks, firewalls, routes and published ports.
package networks

import (
	"context"
	"strconv"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

// NetworkVerb returns the command network.
func NetworkVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "network", Group: command.GroupNets, Args: "COMMAND",
		Summary:  "create, change, list, repair and remove networks",
		Synonyms: []string{"networks", "net"},
		Verbs:    []*cmdline.Verb{networkCreateVerb(a), networkSetVerb(a), networkListVerb(a), networkInspectVerb(a), networkRepairVerb(a), networkRemoveVerb(a)},
	}
}

func networkCreateVerb(a *command.App) *cmdline.Verb {
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
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			s := networkSettings(i)
			return command.ForOne(ctx, i, "create network", func(ctx context.Context, m command.Manager, name vps.Name) error {
				s.Name = string(name)
				info, err := m.CreateNetwork(ctx, s)
				if err != nil {
					return err
				}
				return i.Print(strings.TrimSpace(info.Name+" "+info.IPv4+" "+info.IPv6) + "\n")
			})
		}),
	}
}

// networkSettings reads the settings of a new network. An error is in i.Err.
func networkSettings(i *command.Invocation) runtime.NetworkSettings {
	s := runtime.NetworkSettings{
		Mode: command.Get(i, "mode", values.Mode), Bridge: command.Get(i, "bridge", values.Interface), Parent: command.Get(i, "parent", values.Interface),
		Gateways: command.GetMany(i, "gateway", values.Address), MTU: command.Get(i, "mtu", values.Bytes),
		NoNAT: i.Is("no-nat"), Private: i.Is("private"), Segment: i.Is("segment"),
		NoNames: i.Has("names") && !command.Get(i, "names", values.YesNo),
	}
	s.IPv4, s.NoIPv4 = command.Get(i, "ipv4", values.IPv4Prefix).Split()
	s.IPv6, s.NoIPv6 = command.Get(i, "ipv6", values.IPv6Prefix).Split()
	return s
}

func namesOption(usage string) cmdline.Option {
	return cmdline.Option{Name: "names", Placeholder: "yes|no", Usage: usage, Choices: values.YesNos()}
}

func networkSetVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "set", Args: "NAME", Words: command.NetworkNames,
		Summary:  "change a network",
		Examples: []string{"croft network set croft0 --names no"},
		About: `The change is saved and takes effect at once, also in running VPSs. With --names
no, a VPS has only its own name in /etc/hosts. VPSs still reach each other by
their addresses; see --private of "croft network create".`,
		Options:  []cmdline.Option{namesOption("VPSs get each other's names in /etc/hosts: yes or no")},
		Synonyms: []string{"update", "edit", "change"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			names := command.Get(i, "names", values.YesNo)
			if !i.Has("names") && i.Err == nil {
				i.Err = command.UsageError("network set: nothing to change: give --names yes or --names no")
			}
			name, err := i.One("NAME")
			if err != nil {
				return err
			}
			if _, err := values.NetworkName(name); err != nil {
				return command.UsageError("%w", err)
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			return command.Cannot("change network", name, m.SetNetwork(ctx, name, runtime.NetworkChange{Names: &names}))
		}),
	}
}

func networkListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "list",
		Query:    true,
		Summary:  "list networks",
		Examples: []string{"croft network list"},
		About:    `The default network, croft0, is created with the first VPS.`,
		Options:  append(command.TableOptions("print everything about each network as a JSON array"), command.QuietOption()),
		Aliases:  []string{"ls"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o, m, err := command.Listing[runtime.NetworkInfo](i)
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
			return command.PrintAll(o, networks, t)
		}),
	}
}

func networkInspectVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "inspect", Args: "NAME...", Words: command.NetworkNames,
		Query:    true,
		Summary:  "show everything about networks as JSON",
		Examples: []string{"croft network inspect croft0"},
		About:    `One name gives an object, several names give an array.`,
		Options:  []cmdline.Option{command.JsonOption("accepted for consistency; output is always JSON"), command.ObjectFormatOption()},
		Aliases:  []string{"show"},
		Synonyms: []string{"info"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.ObjectsOf[runtime.NetworkInfo](i)
			var networks []runtime.NetworkInfo
			first := command.EachWord(ctx, i, "inspect", values.NetworkName, func(m command.Manager, name string) error {
				n, err := m.Network(ctx, name)
				if err == nil {
					networks = append(networks, n)
				}
				return err
			})
			if first != nil && len(networks) == 0 {
				return first
			}
			if err := command.PrintOneOrMany(o, networks); err != nil {
				return err
			}
			return first
		}),
	}
}

func networkRepairVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "repair", Args: "[NAME...]", Words: command.NetworkNames,
		Summary:  "repair networks on this host",
		Examples: []string{"croft network repair"},
		About: `Restores what other programs removed or changed of a network's bridge, addresses
and filters, also for running VPSs. Succeeds if nothing needs repair. Without
NAME every network is repaired.

If the file of the addresses is damaged, it is written again. A VPS that has lost
its addresses must not run, and gets new ones at its next start.`,
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if len(i.Words) == 0 {
				return repairAll(ctx, i)
			}
			return command.EachWord(ctx, i, "repair", values.NetworkName, func(m command.Manager, name string) error { return m.RepairNetwork(ctx, name) })
		}),
	}
}

// repairAll repairs every network.
func repairAll(ctx context.Context, i *command.Invocation) error {
	m, err := i.Manager()
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
	return command.TryEach(ctx, i, names, "repair", func(name string) error { return m.RepairNetwork(ctx, name) })
}

func networkRemoveVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME...", Words: command.NetworkNames,
		Summary:  "remove networks that no VPS is on",
		Examples: []string{"croft network remove dmz"},
		About: `A network with a VPS on it, running or not, is not removed, and the command fails.

With --force a network whose file cannot be read is removed too, if no VPS on it
runs; the file is kept as NAME.json.broken. Its VPSs get new addresses at their
next start, when a network of that name exists again; a start creates croft0.`,
		Options:  []cmdline.Option{{Name: "force", Short: "f", Usage: "remove it even if its file cannot be read"}},
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "destroy"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.EachWord(ctx, i, "remove", values.NetworkName, func(m command.Manager, name string) error { return m.RemoveNetwork(ctx, name, i.Is("force")) })
		}),
	}
}
