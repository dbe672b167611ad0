package cli

import (
	"context"
	"strconv"

	"croft/runtime"
)

func networkVerb() *verb {
	return &verb{
		name: "network", group: groupThings, args: "COMMAND",
		summary:  "look at networks, and repair and remove them",
		synonyms: []string{"networks", "net"},
		verbs:    []*verb{networkListVerb(), networkInspectVerb(), networkRepairVerb(), networkRemoveVerb()},
	}
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
		synonyms: []string{"ls"},
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
		name: "inspect", args: "NAME…", words: networkNames,
		summary:  "show everything about networks, as JSON",
		about:    `One name gives an object, several an array.`,
		options:  []option{jsonOption("say so: the output is JSON anyway")},
		synonyms: []string{"show", "info"},
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
		name: "repair", args: "[NAME…]", words: networkNames,
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
		name: "remove", args: "NAME…", words: networkNames,
		summary:  "remove networks that no VPS is on",
		about:    `One that a VPS is on, running or not, is refused, and stays.`,
		synonyms: []string{"rm", "delete", "destroy"},
		run: func(ctx context.Context, i *invocation) error {
			return eachWord(ctx, i, "remove", parseName, func(m Manager, name string) error { return m.RemoveNetwork(ctx, name) })
		},
	}
}
