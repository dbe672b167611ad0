package cli

import (
	"context"
	"slices"

	"croft/runtime"
)

func createVerb() *verb {
	return &verb{
		name: "create", group: groupLife, args: "NAME",
		summary:  "make a VPS of a template",
		aliases:  []string{"init"},
		synonyms: []string{"new", "launch"},
		about: `The VPS is made and not started. Its name is printed. A template that is not
there yet is built first, if there is a recipe of its name.

NAME is a label of DNS, since other VPSs reach it by that: a-z, 0-9 and "-". A
VPS web.example.org is called, for example, web-example-org, and gets its host
name by --hostname web.example.org.

A size is 512M, 1.5G or a number of bytes; K, M, G, T are powers of 1024.
"unlimited" stands for no limit, which is the default.

` + rateAbout,
		options: append(settings(), option{name: "if-missing", usage: "a VPS of that name is success, and is left as it is"}),
		run:     create,
	}
}

// settings are the options of what a VPS is made with.
func settings() []option {
	return []option{
		{name: "template", placeholder: "TEMPLATE", usage: "what it is made of: a name, or NAME@DIGEST", kind: templateNames},
		{name: "ip", placeholder: "ADDRESS", many: true, usage: "an IPv4 or IPv6 address instead of the next free one; may be repeated"},
		{name: "network", placeholder: "NETWORK", usage: "a network that it is on (croft0), eth0, then eth1 and so on; none leaves it alone with lo", many: true, kind: networkNames},
		publishOption(),
		{name: "hostname", placeholder: "NAME", usage: "its host name instead of its name"},
		{name: "memory", short: "m", placeholder: "SIZE", usage: "limit of its memory"},
		{name: "swap", placeholder: "SIZE", usage: "limit of its swap beside that; 0 is none"},
		{name: "cpus", placeholder: "NUMBER", usage: "limit of the CPUs it uses at once: 1.5"},
		{name: "pids", placeholder: "NUMBER", usage: "limit of its processes and threads (15% of the host's, 16384 at most)"},
		rateOption(), connectionsOption(),
		{name: "dns", placeholder: "ADDRESS", many: true, usage: "a DNS server instead of the host's; may be repeated"},
		{name: "search", placeholder: "DOMAIN", many: true, usage: "a domain that short names are looked up in; may be repeated"},
		{name: "sysctl", placeholder: "KEY=VALUE", many: true, usage: "a kernel setting of its own; may be repeated"},
		{name: "env", short: "e", placeholder: "NAME=VALUE", many: true, usage: "a variable in its init's environment; may be repeated"},
		{name: "label", short: "l", placeholder: "KEY=VALUE", many: true, usage: "a note that list --filter can look for; may be repeated"},
		{name: "allow", placeholder: "WHAT", many: true, usage: "system calls that are denied by default: vsock, io_uring; may be repeated"},
		{name: "privileged", usage: "no user namespace: root inside is root of the host, for trusted software only"},
		onBootOption(), bootOrderOption(), stopTimeoutOption(),
		{name: "id-size", placeholder: "NUMBER", usage: "how many user ids it has (262144): a multiple of 65536; rootless containers inside need 196608 or more"},
	}
}

func create(ctx context.Context, i *invocation) error {
	o := createOptions(i)
	o.IfMissing = i.flags.Bool("if-missing")
	return forOne(ctx, i, "create", func(ctx context.Context, m Manager, name string) error {
		if _, err := m.Create(ctx, name, o); err != nil {
			return err
		}
		return i.print(name + "\n")
	})
}

// createOptions reads settings; what is wrong with them is in i.err.
func createOptions(i *invocation) runtime.CreateOptions {
	o := runtime.CreateOptions{
		Template:   get(i, "template", parseTemplateOrImage),
		Hostname:   get(i, "hostname", parseHostname),
		Addresses:  getMany(i, "ip", parseAddress),
		Networks:   getMany(i, "network", parseName),
		Published:  publications(i),
		Sysctls:    toMap(getMany(i, "sysctl", parseSysctl)),
		Allow:      getMany(i, "allow", parseAllow),
		Env:        getMany(i, "env", parseEnv),
		Labels:     toMap(getMany(i, "label", parseLabel)),
		IDSize:     get(i, "id-size", parseIDSize),
		Privileged: i.flags.Bool("privileged"),
		OnBoot:     get(i, "onboot", parseOnBoot),
		BootOrder:  get(i, "boot-order", parseBootOrder),
		StopTime:   get(i, "stop-timeout", parseTimeout),
	}
	o.Rates = getMany(i, "rate", parseRate)
	o.Connections = get(i, "connections", parseConnections)
	o.Limits.Memory = get(i, "memory", parseMemory)
	o.Limits.Swap = get(i, "swap", parseSwap)
	o.Limits.MilliCPUs = get(i, "cpus", parseCPUs)
	o.Limits.PIDs = get(i, "pids", parsePIDs)
	o.DNS.Servers = getMany(i, "dns", parseResolver)
	o.DNS.Search = getMany(i, "search", parseDomain)
	switch {
	case i.err != nil:
	case o.Template == "":
		i.err = usageError("%s: no --template given, for example --template debian-12 or --template busybox", i.verb.name).WithHint("croft template list; croft template recipe")
	case slices.Contains(o.Networks, runtime.NoNetwork):
		i.err = withoutNetwork(o)
	}
	for n, a := range o.Addresses {
		for _, b := range o.Addresses[:n] {
			if a == b && i.err == nil {
				i.err = usageError("--ip: %s is given twice", a)
			}
		}
	}
	return o
}

// withoutNetwork refuses what needs an interface.
func withoutNetwork(o runtime.CreateOptions) error {
	switch {
	case len(o.Networks) > 1:
		return usageError("--network: none, and others")
	case len(o.Published) > 0:
		return usageError("--publish: with --network none nothing leads to it")
	case len(o.Addresses) > 0:
		return usageError("--ip: with --network none there is no interface for it")
	case o.Connections != runtime.DefaultConnections:
		return usageError("--connections: with --network none there is no interface for it")
	case len(o.Rates) > 0:
		return usageError("--rate: with --network none there is no interface for it")
	}
	return nil
}
