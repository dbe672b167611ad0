// Package options reads the settings of a VPS from the options of a command line: what
// a new VPS gets, and the edits of one that exists.
package options

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
)

// ChangeOptions are the options for the settings of a VPS that exists.
func ChangeOptions() []cmdline.Option {
	return slices.Concat([]cmdline.Option{onBootOption(), bootOrderOption(), stopTimeoutOption(), restartOption(), protectOption(),
		{Name: "device-add", Placeholder: "DEVICE", Many: true, Usage: "add " + deviceUsage},
		{Name: "device-del", Placeholder: "DEVICE", Many: true, Kind: command.DevicesOfVPS, Usage: "remove a device: its path inside, or gpu or usb:SERIAL; may be repeated"},
		rateOption(), connectionsOption(),
		{Name: "mount-add", Placeholder: values.MountForm, Many: true, Kind: command.MountSources, Usage: "mount a directory of the host, a volume or a tmpfs; may be repeated"},
		{Name: "mount-del", Placeholder: "TARGET", Many: true, Kind: command.MountsOfVPS, Usage: "remove the mount on TARGET inside; may be repeated"},
		{Name: "memory", Short: "m", Placeholder: "SIZE", Usage: "memory limit: a size, unlimited, or default"},
		{Name: "swap", Placeholder: "SIZE", Usage: "swap limit, in addition to memory: a size, unlimited, or 0 for no swap"},
		{Name: "cpus", Placeholder: "NUMBER", Usage: "CPU limit, for example 1.5, or unlimited"},
		{Name: "pids", Placeholder: "NUMBER", Usage: "limit of processes and threads: a number, unlimited, or default"},
	}, setNetworkOptions(), resourceOptions(), []cmdline.Option{
		{Name: "label", Short: "l", Placeholder: "KEY=VALUE|-KEY", Many: true, Dash: true, Usage: "set a label, or remove it; may be repeated"},
		descriptionOption(),
		{Name: "id-size", Placeholder: "NUMBER", Usage: "number of user ids, a multiple of 65536; at the next start"},
		{Name: "privileged", Placeholder: "yes|no", Choices: values.YesNos(), Usage: "only what the VPS is already: its files have fitting owners"},
		storageOption("only what the VPS has already: see croft convert"),
		{Name: "hostname", Placeholder: "NAME", Usage: "host name, or default: the name of the VPS; at the next start"},
		{Name: "dns", Placeholder: "ADDRESS", Many: true, Usage: "DNS server, or default; may be repeated, replaces all"},
		{Name: "search", Placeholder: "DOMAIN", Many: true, Usage: "DNS search domain, or default; may be repeated, replaces all"},
		{Name: "env", Short: "e", Placeholder: "NAME=VALUE|-NAME", Many: true, Dash: true, Usage: "set an environment variable of its init, or remove it, at the next start; may be repeated"},
		{Name: "sysctl", Placeholder: "KEY=VALUE|-KEY", Many: true, Dash: true, Usage: "set a kernel setting of the VPS, or remove it, at the next start; may be repeated"},
		{Name: "allow", Placeholder: "WHAT|-WHAT", Many: true, Dash: true, Usage: "allow vsock, io_uring or capabilities, or end that, at the next start; may be repeated"},
		{Name: "cap-add", Placeholder: "CAPABILITY|-CAPABILITY", Many: true, Dash: true, Usage: "give a capability that VPSs do not have by default, or ALL, or end that, at the next start; may be repeated"},
		{Name: "cap-drop", Placeholder: "CAPABILITY|-CAPABILITY", Many: true, Dash: true, Usage: "take a capability, or ALL, or end that, at the next start; may be repeated"},
		dmesgOption(", at the next start"), seccompOption(", at the next start"), setCredentialOption(), fitOption(), LoginUserOption(),
	}, insideOptions())
}

func onBootOption() cmdline.Option {
	return cmdline.Option{
		Name: "onboot", Placeholder: "yes|no|last", Choices: values.OnBoots(),
		Usage: "start at host boot: yes, no, or last: if it was running before (default: last)",
	}
}

func bootOrderOption() cmdline.Option {
	return cmdline.Option{Name: "boot-order", Placeholder: "NUMBER", Usage: "start priority; a higher one starts first and stops last (default: 0)"}
}

func stopTimeoutOption() cmdline.Option {
	return cmdline.Option{Name: "stop-timeout", Placeholder: "TIME", Usage: "time to shut down before it is killed (default: 60s)"}
}

func restartOption() cmdline.Option {
	return cmdline.Option{
		Name: "restart", Placeholder: "no|on-failure[:N]|always", Choices: []string{"no", "on-failure", "always"},
		Usage: "start it again when it ends by itself: not, after a crash (at most N times in a row), or always (default: no)",
	}
}

func protectOption() cmdline.Option {
	return cmdline.Option{Name: "protect", Placeholder: "yes|no", Choices: values.YesNos(), Usage: "whether destroy refuses it, also with --force (default: no)"}
}

// SetEdits reads the options of settings.
func SetEdits(i *command.Invocation) []vps.Edit {
	edits := append(networkEdits(i), addressEdits(i)...)
	for _, r := range command.GetMany(i, "rate", values.Rate) {
		edits = append(edits, r)
	}
	edits = addEdit(edits, i, "connections", values.Connections, func(n int64) vps.Edit { return vps.SetConnections{Limit: n} })
	edits = append(edits, publishEdits(i)...)
	edits = append(edits, limitEdits(i)...)
	edits = append(edits, mountEdits(i)...)
	edits = append(edits, command.GetMany(i, "label", labelEdit)...)
	edits = addEdit(edits, i, "description", DescriptionOrDefault, func(s string) vps.Edit { return vps.SetDescription{Text: s} })
	edits = append(edits, initEdits(i)...)
	edits = append(edits, deviceEdits(i)...)
	edits = addEdit(edits, i, "id-size", values.IDSize, func(n uint32) vps.Edit { return vps.SetIDSize{Size: n} })
	edits = addEdit(edits, i, "privileged", values.YesNo, func(yes bool) vps.Edit { return vps.SetPrivileged{Privileged: yes} })
	edits = addEdit(edits, i, "storage", vps.ParseStorage, func(s vps.Storage) vps.Edit { return vps.SetStorage{Storage: s} })
	edits = dmesgEdits(edits, i)
	edits = seccompEdits(edits, i)
	edits = addEdit(edits, i, "onboot", values.OnBoot, func(o vps.OnBoot) vps.Edit { return vps.SetOnBoot{OnBoot: o} })
	edits = addEdit(edits, i, "boot-order", values.BootOrder, func(n int) vps.Edit { return vps.SetBootOrder{Order: n} })
	edits = addEdit(edits, i, "stop-timeout", values.Timeout, func(d time.Duration) vps.Edit { return vps.SetStopTimeout{Timeout: d} })
	edits = addEdit(edits, i, "restart", vps.ParseRestart, func(r vps.Restart) vps.Edit { return vps.SetRestart{Restart: r} })
	edits = addEdit(edits, i, "fit", vps.ParseFit, func(f vps.Fit) vps.Edit { return vps.SetFit{Fit: f} })
	edits = addEdit(edits, i, "protect", values.YesNo, func(yes bool) vps.Edit { return vps.SetProtected{Protected: yes} })
	return edits
}

// initEdits reads the options of what the VPS's init and its resolver get.
func initEdits(i *command.Invocation) []vps.Edit {
	edits := addEdit(nil, i, "hostname", hostnameOrDefault, func(s string) vps.Edit { return vps.SetHostname{Hostname: s} })
	if i.Has("dns") {
		edits = append(edits, vps.SetServers{Servers: listOrDefault(i, "dns", values.Resolver)})
	}
	if i.Has("search") {
		edits = append(edits, vps.SetSearch{Domains: listOrDefault(i, "search", values.Domain)})
	}
	edits = append(edits, command.GetMany(i, "env", envEdit)...)
	edits = append(edits, command.GetMany(i, "sysctl", sysctlEdit)...)
	edits = append(edits, command.GetMany(i, "allow", allowEdit)...)
	return append(edits, capabilityEdits(i)...)
}

func descriptionOption() cmdline.Option {
	return cmdline.Option{Name: "description", Placeholder: "TEXT", Usage: "one line about the VPS for people, or default: none"}
}

// DescriptionOrDefault reads --description.
func DescriptionOrDefault(s string) (string, error) {
	if s == "default" {
		return "", nil
	}
	return s, vps.CheckDescription(s)
}

func hostnameOrDefault(s string) (string, error) {
	if s == "default" {
		return "", nil
	}
	return values.Hostname(s)
}

// listOrDefault reads an option that may be repeated; "default" alone is an empty
// list.
func listOrDefault(i *command.Invocation, name string, parse func(string) (string, error)) []string {
	all := command.GetMany(i, name, func(s string) (string, error) {
		if s == "default" {
			return "", nil
		}
		return parse(s)
	})
	if slices.Contains(all, "") {
		if len(all) > 1 && i.Err == nil {
			i.Err = command.UsageError("--%s: default and others", name)
		}
		return nil
	}
	return all
}

// envEdit reads NAME=VALUE or -NAME.
func envEdit(s string) (vps.Edit, error) {
	return editOf(s, func(s string) (vps.Edit, error) {
		_, err := values.Env(s)
		return vps.SetEnv{Text: s}, err
	}, func(name string) vps.Edit { return vps.RemoveEnv{Name: name} })
}

// sysctlEdit reads KEY=VALUE or -KEY.
func sysctlEdit(s string) (vps.Edit, error) {
	return editOf(s, func(s string) (vps.Edit, error) {
		pair, err := values.Sysctl(s)
		return vps.SetSysctl{Key: pair.Key, Value: pair.Value}, err
	}, func(key string) vps.Edit { return vps.RemoveSysctl{Key: key} })
}

// allowEdit reads WHAT or -WHAT.
func allowEdit(s string) (vps.Edit, error) {
	return editOf(s, func(s string) (vps.Edit, error) {
		_, err := values.Allow(s)
		return vps.Allow{What: s}, err
	}, func(what string) vps.Edit { return vps.Disallow{What: what} })
}

// orDefault is parse for a value that may be "default": 0.
func orDefault(parse func(string) (int64, error)) func(string) (int64, error) {
	return func(s string) (int64, error) {
		if s == "default" {
			return 0, nil
		}
		return parse(s)
	}
}

// editOf reads text that sets something, or -KEY, which removes it.
func editOf(text string, set func(string) (vps.Edit, error), remove func(key string) vps.Edit) (vps.Edit, error) {
	key, removes := strings.CutPrefix(text, "-")
	switch {
	case !removes:
		return set(text)
	case key == "" || strings.Contains(key, "="):
		return nil, fmt.Errorf("invalid text %q: after \"-\" comes a name to remove", text)
	}
	return remove(key), nil
}

// labelEdit reads KEY=VALUE or -KEY.
func labelEdit(s string) (vps.Edit, error) {
	return editOf(s, func(s string) (vps.Edit, error) {
		label, err := values.Label(s)
		return vps.SetLabel{Key: label.Key, Value: label.Value}, err
	}, func(key string) vps.Edit { return vps.RemoveLabel{Key: key} })
}

// addEdit appends the edit of an option, if it is given.
func addEdit[T any](edits []vps.Edit, i *command.Invocation, name string, parse func(string) (T, error), edit func(T) vps.Edit) []vps.Edit {
	if !i.Has(name) {
		return edits
	}
	return append(edits, edit(command.Get(i, name, parse)))
}

func rateOption() cmdline.Option {
	return cmdline.Option{
		Name: "rate", Placeholder: "RATE", Many: true,
		Usage: "bandwidth limit: 10M, in=100M,out=10M or eth0:10M (default: unlimited); may be repeated",
	}
}

// RateAbout is the help of verbs with --rate.
const RateAbout = `RATE is in bits per second: 64K, 10M, 1.5G (powers of 1000), or unlimited. It
limits each direction, or in=RATE what the VPS receives and out=RATE what it
sends, also from and to other VPSs. It applies to every interface of the VPS, or
after "INTERFACE:" to that one: --rate eth0:in=100M,out=10M.

--connections limits the connections of each interface in the host's connection
table, in both directions. New connections above the limit are dropped and
counted ("croft inspect").`

func connectionsOption() cmdline.Option {
	return cmdline.Option{
		Name: "connections", Placeholder: "NUMBER",
		Usage: "limit of connections of each interface: a number, unlimited, or default (default: an eighth of the host's table)",
	}
}
