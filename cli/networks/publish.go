package networks

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/options"
	"croft/internal/vps"
	"croft/runtime"
)

// PublishVerb returns the command publish.
func PublishVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "publish", Group: command.GroupChange, Args: "NAME COMMAND", Words: command.VPSNames, Named: true,
		Summary: "forward host ports to a VPS",
		Examples: []string{
			"croft publish web add 8080:80",
			"croft publish web add 192.0.2.1:5353:53/udp '[2001:db8::1]:443:443'",
			"croft publish web add 127.0.0.1:8000-8010:8000-8010",
			"croft publish web list",
		},
		Synonyms: []string{"port", "ports", "expose", "forward"},
		About: `Published ports are saved with the VPS and forwarded while it runs: from outside,
from the host by each of its addresses and localhost, from other VPSs, and from
the VPS itself, over IPv4 and IPv6. A port that another VPS has published, running
or not, or that a program on the host listens on is refused. The VPS's own
firewall ("croft firewall") must accept the packets.`,
		Verbs: []*cmdline.Verb{
			publishListVerb(a), publishAddVerb(a), publishRemoveVerb(a),
			editVerb(a, &cmdline.Verb{
				Name: "flush", Harmful: true, Summary: "remove all published ports", Examples: []string{"croft publish web flush"},
				Synonyms: []string{"clear", "reset"},
			}, "change the published ports", vps.UnpublishAll{}),
		},
	}
}

func publishListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "list", Args: "[NAME]", Words: command.VPSNames,
		Query:    true,
		Summary:  "list published ports and whether they are active",
		Examples: []string{"croft publish list", "croft publish web list"},
		About: `Without NAME, lists the published ports of all VPSs.

For a running VPS, "missing" is a port whose rules another program removed from
the host: "croft network repair" and the next start of any VPS restore them.`,
		Options: command.TableOptions("print everything as JSON: an object, or without NAME an array"),
		Aliases: []string{"ls", "show"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.OutputOf[runtime.PublishedInfo](i)
			if len(i.Words) == 0 {
				return listAllPublished(ctx, o)
			}
			return command.ForOne(ctx, i, "list the published ports", func(ctx context.Context, m command.Manager, name vps.Name) error {
				info, err := m.Published(ctx, name)
				if err != nil {
					return err
				}
				if err := command.PrintOne(o, info, publishedTable([]runtime.PublishedInfo{info}, false)); err != nil {
					return err
				}
				warnUnpublished(o, []runtime.PublishedInfo{info})
				return nil
			})
		}),
	}
}

// listAllPublished lists the ports of every VPS that has published some.
func listAllPublished(ctx context.Context, o command.Output) error {
	m, err := o.Manager()
	if err != nil {
		return err
	}
	all, err := m.AllPublished(ctx)
	if err != nil {
		return err
	}
	if err := command.PrintAll(o, all, publishedTable(all, true)); err != nil {
		return err
	}
	warnUnpublished(o, all)
	return nil
}

// warnUnpublished says, beside a table, that published ports are missing.
func warnUnpublished(o command.Output, all []runtime.PublishedInfo) {
	missing := slices.ContainsFunc(all, func(info runtime.PublishedInfo) bool { return info.Running && !info.Applied })
	if missing && o.Name != display.FormatJSON {
		o.Screen.Warn("not all published ports are active: croft network repair")
	}
}

// publishedTable has a line for each port of all, with the name of the VPS
// first if named.
func publishedTable(all []runtime.PublishedInfo, named bool) display.Table {
	t := display.Table{{"NAME", "NUMBER", "PROTOCOL", "HOST", "PORTS", "TO", "STATE"}}
	for _, info := range all {
		for _, p := range info.Published {
			state := "saved"
			switch {
			case info.Running && p.Applied:
				state = "active"
			case info.Running:
				state = "missing"
			}
			t = append(t, []string{string(info.Name), strconv.Itoa(p.Number), p.Protocol, cmp.Or(p.Host, "*"), p.Ports, p.To, state})
		}
	}
	if !named {
		for n := range t {
			t[n] = t[n][1:]
		}
	}
	return t
}

func publishAddVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "add", Args: "NAME " + options.PublicationForm + "...", Words: command.VPSNames,
		Summary:  "publish ports",
		Examples: []string{"croft publish web add 8080:80 127.0.0.1:2222:22"},
		About: `ADDRESS is an address of the host, IPv6 in brackets; without it the port is
published on all addresses. PORT is a port or a range, of the host before the
colon and of the VPS after it; both ranges have the same size. Publishing a
published port again succeeds.`,
		Synonyms: []string{"open", "allow"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			name, words, err := nameAnd(i)
			if err != nil {
				return err
			}
			if len(words) == 0 {
				return command.UsageError("publish add: no ports given").WithHint("croft publish %s add 8080:80", name)
			}
			var ports []vps.Publication
			for _, w := range words {
				p, err := options.ParsePublication(w)
				if err != nil {
					return command.UsageError("publish add: %w", err)
				}
				ports = append(ports, p)
			}
			return changeNamed(ctx, i, name, "publish ports", vps.Publish{Ports: ports})
		}),
	}
}

func publishRemoveVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME NUMBER|PORT|" + options.PublicationForm + "...", Words: command.VPSNames, After: command.PortsOfVPS,
		Summary: "remove published ports, by number, port or text",
		Examples: []string{
			"croft publish web remove 18081",
			"croft publish web remove 127.0.0.1:18081:80/tcp",
		},
		About: `NUMBER is a number of the list before the command. PORT is a host port, with or
without a protocol: 8080, 53/udp. A number that is both the NUMBER of one entry
and the PORT of another is refused; write PORT:PORT then, for example 2:80. An
ADDRESS or protocol that is not given matches any. If several entries match, the
error names them and nothing is removed. Open connections are kept.`,
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "del"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			name, words, err := nameAnd(i)
			if err != nil {
				return err
			}
			if len(words) == 0 {
				return command.UsageError("publish remove: no NUMBER or PORT given").WithHint("croft publish %s list", name)
			}
			var chosen []vps.PublicationChoice
			for _, w := range words {
				c, err := options.ParsePublicationChoice(w)
				if err != nil {
					return command.UsageError("publish remove: %w", err).WithHint("croft publish %s list", name)
				}
				chosen = append(chosen, c)
			}
			return changeNamed(ctx, i, name, "change the published ports", vps.Unpublish{Chosen: chosen})
		}),
	}
}
