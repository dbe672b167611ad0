package cli

import (
	"croft/cli/cmdline"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
	"slices"
)

// settingOptions returns the options for the settings of a new VPS.
func settingOptions() []cmdline.Option {
	return slices.Concat([]cmdline.Option{
		profileOption(),
		{Name: "template", Placeholder: "TEMPLATE", Usage: "template to create the VPS from: a name or NAME@DIGEST", Kind: templateSources},
		{Name: "ip", Placeholder: "[INTERFACE:]ADDRESS", Many: true, Usage: "IPv4 or IPv6 address (default: the next free one); may be repeated"},
		{Name: "network", Placeholder: attachment, Usage: "network to attach (default: croft0); repeat for eth1, eth2 and so on; \"none\" gives loopback only", Many: true, Kind: networkOrNone},
		publishOption(), mountOption(),
		{Name: "hostname", Placeholder: "NAME", Usage: "host name (default: NAME)"},
		{Name: "memory", Short: "m", Placeholder: "SIZE", Usage: "memory limit (default: 7/8 of the host's, at least 256M less)"},
		{Name: "swap", Placeholder: "SIZE", Usage: "swap limit, in addition to memory; 0 disables swap (default: unlimited)"},
		{Name: "cpus", Placeholder: "NUMBER", Usage: "CPU limit, for example 1.5 (default: unlimited)"},
		{Name: "pids", Placeholder: "NUMBER", Usage: "limit of processes and threads (default: 15% of the host's limit, at most 16384)"},
	}, resourceOptions(), []cmdline.Option{
		rateOption(), connectionsOption(),
		{Name: "dns", Placeholder: "ADDRESS", Many: true, Usage: "DNS server (default: the host's); may be repeated"},
		{Name: "search", Placeholder: "DOMAIN", Many: true, Usage: "DNS search domain; may be repeated"},
		{Name: "sysctl", Placeholder: "KEY=VALUE", Many: true, Usage: "kernel setting of the VPS; may be repeated"},
		{Name: "env", Short: "e", Placeholder: "NAME=VALUE", Many: true, Usage: "environment variable of its init; may be repeated"},
		{Name: "device", Placeholder: "DEVICE", Many: true, Usage: deviceUsage},
		{Name: "label", Short: "l", Placeholder: "KEY=VALUE", Many: true, Usage: "label for list --filter; may be repeated"},
		descriptionOption(),
		{Name: "allow", Placeholder: "WHAT", Many: true, Usage: "allow what VPSs do not have by default: vsock, io_uring, capabilities; may be repeated"},
		{Name: "cap-add", Placeholder: "CAPABILITY", Many: true, Usage: "give a capability that VPSs do not have by default, for example SYS_TIME, or ALL; may be repeated"},
		{Name: "cap-drop", Placeholder: "CAPABILITY", Many: true, Usage: "take a capability, for example NET_RAW, or ALL; may be repeated"},
		dmesgOption(""),
		{Name: "privileged", Usage: "use no user namespace: root inside is root on the host; only for trusted software"},
		onBootOption(), bootOrderOption(), stopTimeoutOption(), restartOption(),
		{Name: "protect", Usage: "destroy refuses it, until \"croft set NAME --protect no\""},
		storageOption("root filesystem: an overlay over the template, or a plain tree of its own (default: overlay)"),
		{Name: "id-size", Placeholder: "NUMBER", Usage: "number of user ids, a multiple of 65536; rootless containers inside need 196608 or more (default: 262144)"},
	}, insideOptions(), []cmdline.Option{credentialOption(), fitOption()})
}

// createOptions reads settings. An error is in i.Err.
func createOptions(i *invocation) runtime.CreateOptions {
	i.supplyDefaults()
	o := runtime.CreateOptions{
		Template:    get(i, "template", values.TemplateOrImage),
		Hostname:    get(i, "hostname", hostnameOrDefault),
		Addresses:   newAddresses(i),
		Networks:    newNetworks(i),
		Published:   publications(i),
		Sysctls:     values.ToMap(getMany(i, "sysctl", values.Sysctl)),
		Allow:       getMany(i, "allow", values.Allow),
		CapAdd:      capabilities(i, "cap-add"),
		CapDrop:     capabilities(i, "cap-drop"),
		Env:         getMany(i, "env", values.Env),
		Mounts:      getMany(i, "mount", values.Mount),
		Devices:     getMany(i, "device", values.Device),
		Labels:      values.ToMap(getMany(i, "label", values.Label)),
		Description: get(i, "description", descriptionOrDefault),
		IDSize:      get(i, "id-size", values.IDSize),
		Privileged:  i.Is("privileged"),
		Storage:     get(i, "storage", vps.ParseStorage),
		NoDmesg:     i.Has("dmesg") && !get(i, "dmesg", onOrOff),
		OnBoot:      get(i, "onboot", values.OnBoot),
		BootOrder:   get(i, "boot-order", values.BootOrder),
		StopTime:    get(i, "stop-timeout", values.Timeout),
		Protected:   i.Is("protect"),
		Restart:     get(i, "restart", vps.ParseRestart),
		Fit:         get(i, "fit", vps.ParseFit),
	}
	o.Rates = getMany(i, "rate", values.Rate)
	o.Connections = get(i, "connections", values.Connections)
	setLimits(i, &o)
	o.DNS.Servers = listOrDefault(i, "dns", values.Resolver)
	o.DNS.Search = listOrDefault(i, "search", values.Domain)
	switch {
	case i.Err != nil:
	case o.Template == "":
		i.Err = usageError("%s: no --template given, for example --template debian-12 or --template busybox", i.Verb.Name).
			WithHint("%s; croft template list; croft template recipe", i.withTemplate(builtIn))
	case slices.ContainsFunc(o.Networks, func(n vps.AddInterface) bool { return n.Network == runtime.NoNetwork }):
		i.Err = withoutNetwork(o)
	}
	i.tellTemplate()
	return o
}

// newAddresses reads --ip.
func newAddresses(i *invocation) []vps.AddAddress {
	var all []vps.AddAddress
	for _, a := range getMany(i, "ip", values.AddressAt) {
		if i.Err == nil && slices.ContainsFunc(all, func(b vps.AddAddress) bool { return a.Address == b.Address }) {
			i.Err = usageError("--ip: %s is given twice", a.Address)
		}
		all = append(all, vps.AddAddress(a))
	}
	return all
}

// withoutNetwork refuses what needs an interface.
func withoutNetwork(o runtime.CreateOptions) error {
	switch {
	case len(o.Networks) > 1 || o.Networks[0].Text() != runtime.NoNetwork:
		return usageError("--network: none has neither others beside it nor options")
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

// withTemplate returns the typed line with the option --template. The line is
// still invalid if something else is missing.
func (i *invocation) withTemplate(name string) string {
	at := slices.IndexFunc(i.typed, func(w string) bool { return w == i.Verb.Name || slices.Contains(i.Verb.Aliases, w) })
	return i.commandLine(slices.Insert(slices.Clone(i.typed), at+1, "--template", name)...)
}

// builtIn is the name of the template inside croft.
const builtIn = "busybox"
