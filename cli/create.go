package cli

import (
	"context"
	"slices"

	"croft/internal/vps"
	"croft/runtime"
)

func createVerb() *verb {
	return &verb{
		name: "create", group: groupLife, args: "NAME",
		summary: "create a VPS from a template",
		examples: []string{
			"croft create web --template debian-12 --memory 1G --publish 8080:80",
			"croft create db --template debian-12 --cpus 2 --hostname db.example.org",
		},
		aliases:  []string{"init"},
		synonyms: []string{"new", "launch"},
		about: `Creates the VPS, does not start it, and prints its name. If TEMPLATE does not
exist but there is a recipe with that name, croft builds the template first.

NAME has 1 to 63 of a-z, 0-9 and "-", because other VPSs reach the VPS by this
name in DNS. For a VPS web.example.org use, for example, the name
web-example-org and --hostname web.example.org.

SIZE is 512M, 1.5G or a number of bytes; K, M, G and T are powers of 1024.
"unlimited" means no limit.

` + rateAbout,
		options: append(settings(), option{name: "if-missing", usage: "succeed without changes if the VPS already exists"}),
		run:     create,
	}
}

// settings are the options of what a VPS is made with.
func settings() []option {
	return []option{
		{name: "template", placeholder: "TEMPLATE", usage: "template to create the VPS from: a name or NAME@DIGEST", kind: templateNames},
		{name: "ip", placeholder: "ADDRESS", many: true, usage: "IPv4 or IPv6 address (default: the next free one); may be repeated"},
		{name: "network", placeholder: "NETWORK", usage: "network to attach (default: croft0); repeat for eth1, eth2 and so on; \"none\" gives loopback only", many: true, kind: networkNames},
		publishOption(),
		{name: "hostname", placeholder: "NAME", usage: "host name (default: NAME)"},
		{name: "memory", short: "m", placeholder: "SIZE", usage: "memory limit (default: 7/8 of the host's, at least 256M less)"},
		{name: "swap", placeholder: "SIZE", usage: "swap limit, in addition to memory; 0 disables swap (default: unlimited)"},
		{name: "cpus", placeholder: "NUMBER", usage: "CPU limit, for example 1.5 (default: unlimited)"},
		{name: "pids", placeholder: "NUMBER", usage: "limit of processes and threads (default: 15% of the host's limit, at most 16384)"},
		rateOption(), connectionsOption(),
		{name: "dns", placeholder: "ADDRESS", many: true, usage: "DNS server (default: the host's); may be repeated"},
		{name: "search", placeholder: "DOMAIN", many: true, usage: "DNS search domain; may be repeated"},
		{name: "sysctl", placeholder: "KEY=VALUE", many: true, usage: "kernel setting of the VPS; may be repeated"},
		{name: "env", short: "e", placeholder: "NAME=VALUE", many: true, usage: "environment variable of its init; may be repeated"},
		{name: "label", short: "l", placeholder: "KEY=VALUE", many: true, usage: "label for list --filter; may be repeated"},
		{name: "allow", placeholder: "WHAT", many: true, usage: "allow what VPSs do not have by default: vsock, io_uring, capabilities; may be repeated"},
		{name: "privileged", usage: "use no user namespace: root inside is root on the host; only for trusted software"},
		onBootOption(), bootOrderOption(), stopTimeoutOption(),
		{name: "id-size", placeholder: "NUMBER", usage: "number of user ids, a multiple of 65536; rootless containers inside need 196608 or more (default: 262144)"},
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
		Networks:   getMany(i, "network", vps.ParseName),
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
		i.err = usageError("%s: no --template given, for example --template debian-12 or --template busybox", i.verb.name).
			WithHint("%s; croft template list; croft template recipe", i.withTemplate(builtIn))
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
		return usageError("--network: none and others: one or the other")
	case len(o.Published) > 0:
		return usageError("--publish: not with --network none, which has no interface")
	case len(o.Addresses) > 0:
		return usageError("--ip: not with --network none, which has no interface")
	case o.Connections != vps.DefaultConnections:
		return usageError("--connections: not with --network none, which has no interface")
	case len(o.Rates) > 0:
		return usageError("--rate: not with --network none, which has no interface")
	}
	return nil
}

// withTemplate is the line that was typed with the option --template. It is not
// valid if something else is missing.
func (i *invocation) withTemplate(name string) string {
	at := slices.IndexFunc(i.typed, func(w string) bool { return w == i.verb.name || slices.Contains(i.verb.aliases, w) })
	return quote(slices.Concat([]string{"croft"}, slices.Insert(slices.Clone(i.typed), at+1, "--template", name)))
}
