package options

import (
	"slices"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/settings"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

// SettingOptions returns the options for the settings of a new VPS.
func SettingOptions() []cmdline.Option {
	return slices.Concat([]cmdline.Option{
		profileOption(),
		{Name: "template", Placeholder: "TEMPLATE", Usage: "template to create the VPS from: a name, NAME@DIGEST, a reference that is pulled once, for example images:alpine/3.22, or a file that is imported, for example ./rootfs.tar.xz", Kind: command.TemplateSources},
		{Name: "ip", Placeholder: "[INTERFACE:]ADDRESS", Many: true, Usage: "IPv4 or IPv6 address (default: the next free one); may be repeated"},
		{Name: "network", Placeholder: attachment, Usage: "network to attach (default: croft0); repeat for eth1, eth2 and so on; \"none\" gives loopback only", Many: true, Kind: command.NetworkOrNone},
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
		dmesgOption(""), seccompOption(""),
		{Name: "privileged", Usage: "use no user namespace: root inside is root on the host; only for trusted software"},
		onBootOption(), bootOrderOption(), stopTimeoutOption(), restartOption(),
		{Name: "protect", Usage: "destroy refuses it, until \"croft set NAME --protect no\""},
		storageOption("root filesystem: an overlay over the template, or a plain tree of its own (default: overlay)"),
		{Name: "id-size", Placeholder: "NUMBER", Usage: "number of user ids, a multiple of 65536; rootless containers inside need 196608 or more (default: 262144)"},
	}, insideOptions(), []cmdline.Option{credentialOption(), fitOption()})
}

// CreateOptions reads settings. An error is in i.Err.
func CreateOptions(i *command.Invocation) runtime.CreateOptions {
	supplyDefaults(i)
	o := newSettings(i)
	if i.Err == nil && o.Template == "" {
		i.Err = command.UsageError("%s: no --template given, for example --template debian-12 or --template busybox", i.Verb.Name).
			WithHint("%s; croft template list; croft template recipe", withTemplate(i, BuiltIn))
	}
	tellTemplate(i)
	return o
}

// AdoptOptions reads the settings of a VPS that gets found from a container of another
// tool, except for what the user has typed. An error is in i.Err.
func AdoptOptions(i *command.Invocation, found settings.File) runtime.CreateOptions {
	supplyDefaults(i, found)
	return newSettings(i)
}

// newSettings reads the settings of a new VPS.
func newSettings(i *command.Invocation) runtime.CreateOptions {
	o := runtime.CreateOptions{
		Template:    command.Get(i, "template", values.TemplateOrImage),
		Hostname:    command.Get(i, "hostname", hostnameOrDefault),
		Addresses:   NewAddresses(i),
		Networks:    newNetworks(i),
		Published:   publications(i),
		Sysctls:     values.ToMap(command.GetMany(i, "sysctl", values.Sysctl)),
		Allow:       command.GetMany(i, "allow", values.Allow),
		CapAdd:      capabilities(i, "cap-add"),
		CapDrop:     capabilities(i, "cap-drop"),
		Env:         command.GetMany(i, "env", values.Env),
		Mounts:      command.GetMany(i, "mount", values.Mount),
		Devices:     command.GetMany(i, "device", values.Device),
		Labels:      values.ToMap(command.GetMany(i, "label", values.Label)),
		Description: command.Get(i, "description", DescriptionOrDefault),
		IDSize:      command.Get(i, "id-size", values.IDSize),
		Privileged:  i.Is("privileged"),
		Storage:     command.Get(i, "storage", vps.ParseStorage),
		NoDmesg:     i.Has("dmesg") && !command.Get(i, "dmesg", onOrOff),
		Seccomp:     command.Get(i, "seccomp", vps.ParseSeccomp),
		OnBoot:      command.Get(i, "onboot", values.OnBoot),
		BootOrder:   command.Get(i, "boot-order", values.BootOrder),
		StopTime:    command.Get(i, "stop-timeout", values.Timeout),
		Protected:   i.Is("protect"),
		Restart:     command.Get(i, "restart", vps.ParseRestart),
		Fit:         command.Get(i, "fit", vps.ParseFit),
	}
	o.Rates = command.GetMany(i, "rate", values.Rate)
	o.Connections = command.Get(i, "connections", values.Connections)
	setLimits(i, &o)
	o.DNS.Servers = listOrDefault(i, "dns", values.Resolver)
	o.DNS.Search = listOrDefault(i, "search", values.Domain)
	if i.Err == nil && slices.ContainsFunc(o.Networks, func(n vps.AddInterface) bool { return n.Network == runtime.NoNetwork }) {
		i.Err = withoutNetwork(o)
	}
	return o
}

// NewAddresses reads --ip.
func NewAddresses(i *command.Invocation) []vps.AddAddress {
	var all []vps.AddAddress
	for _, a := range command.GetMany(i, "ip", values.AddressAt) {
		if i.Err == nil && slices.ContainsFunc(all, func(b vps.AddAddress) bool { return a.Address == b.Address }) {
			i.Err = command.UsageError("--ip: %s is given twice", a.Address)
		}
		all = append(all, vps.AddAddress(a))
	}
	return all
}

// withoutNetwork refuses what needs an interface.
func withoutNetwork(o runtime.CreateOptions) error {
	switch {
	case len(o.Networks) > 1 || o.Networks[0].Text() != runtime.NoNetwork:
		return command.UsageError("--network: none has neither others beside it nor options")
	case len(o.Published) > 0:
		return command.UsageError("--publish: not with --network none, which has no interface")
	case len(o.Addresses) > 0:
		return command.UsageError("--ip: not with --network none, which has no interface")
	case o.Connections != vps.DefaultConnections:
		return command.UsageError("--connections: not with --network none, which has no interface")
	case len(o.Rates) > 0:
		return command.UsageError("--rate: not with --network none, which has no interface")
	}
	return nil
}

// withTemplate returns the typed line with the option --template. The line is
// still invalid if something else is missing.
func withTemplate(i *command.Invocation, name string) string {
	at := slices.IndexFunc(i.Line, func(w string) bool { return w == i.Verb.Name || slices.Contains(i.Verb.Aliases, w) })
	return i.CommandLine(slices.Insert(slices.Clone(i.Line), at+1, "--template", name)...)
}

// BuiltIn is the name of the template inside croft.
const BuiltIn = "busybox"
