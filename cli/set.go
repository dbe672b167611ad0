package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/values"
	"croft/internal/vps"
)

func (a *app) setVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "set", Group: groupChange, Args: "NAME... | --all", Words: vpsNames,
		Summary: "change settings of VPSs",
		Examples: []string{
			"croft set web --onboot yes --boot-order 10",
			"croft set web --memory 2G --cpus 1.5",
		},
		About: `Changes are saved and take effect immediately. Settings you do not name are left
unchanged. If one of the changes is refused or fails, none is made.

--memory, --swap, --cpus and --pids change the limits of a running VPS at once; what
is in a tmpfs of the VPS keeps its former bound until a restart. Memory that is in
use is reclaimed first. If more than the new limit stays in use, the command fails
and names the amount. "unlimited" removes a limit, and "default" restores the
default one.

--label KEY=VALUE sets a label, --label -KEY removes it.

--ip-add and --ip-del change the addresses of eth0, inside the VPS and on its
network, without a restart. An address in use is refused.

` + rateAbout + `

--onboot controls whether a boot of the host starts the VPS: yes, no, or last
(if it was running, or should have been, when the host went down). A VPS that
was stopped deliberately ("croft stop", or "poweroff" inside) stays stopped; one
that ended because of a power cut, a crash or the host's shutdown is started
again.

--protect yes guards a VPS against a mistake: "croft destroy" refuses it, also
with --force or --all, until --protect no. All other commands work as before.`,
		Options: []cmdline.Option{onBootOption(), bootOrderOption(), stopTimeoutOption(), protectOption(),
			cmdline.Option{Name: "ip-add", Placeholder: "ADDRESS", Many: true, Usage: "add an address; may be repeated"},
			cmdline.Option{Name: "ip-del", Placeholder: "ADDRESS", Many: true, Kind: addressesOfVPS, Usage: "remove an address; may be repeated"},
			rateOption(), connectionsOption(),
			cmdline.Option{Name: "memory", Short: "m", Placeholder: "SIZE", Usage: "memory limit: a size, unlimited, or default"},
			cmdline.Option{Name: "swap", Placeholder: "SIZE", Usage: "swap limit, in addition to memory: a size, unlimited, or 0 for no swap"},
			cmdline.Option{Name: "cpus", Placeholder: "NUMBER", Usage: "CPU limit, for example 1.5, or unlimited"},
			cmdline.Option{Name: "pids", Placeholder: "NUMBER", Usage: "limit of processes and threads: a number, unlimited, or default"},
			cmdline.Option{Name: "label", Short: "l", Placeholder: "KEY=VALUE|-KEY", Many: true, Dash: true, Usage: "set a label, or remove it; may be repeated"},
			allOption("change")},
		Synonyms: []string{"config", "change", "modify", "update"},
		Run:      a.run(set),
	}
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

func protectOption() cmdline.Option {
	return cmdline.Option{Name: "protect", Placeholder: "yes|no", Choices: values.YesNos(), Usage: "whether destroy refuses it, also with --force (default: no)"}
}

func set(ctx context.Context, i *invocation) error {
	add, remove := getMany(i, "ip-add", values.Address), getMany(i, "ip-del", values.Address)
	for _, a := range add {
		if i.Err == nil && slices.Contains(remove, a) {
			i.Err = usageError("--ip-add and --ip-del: both have %s", a)
		}
	}
	var edits []vps.Edit
	for _, a := range add {
		edits = append(edits, vps.AddAddress{Address: a})
	}
	for _, a := range remove {
		edits = append(edits, vps.RemoveAddress{Address: a})
	}
	for _, r := range getMany(i, "rate", values.Rate) {
		edits = append(edits, r)
	}
	edits = addEdit(edits, i, "connections", values.Connections, func(n int64) vps.Edit { return vps.SetConnections{Limit: n} })
	edits = append(edits, limitEdits(i)...)
	edits = append(edits, getMany(i, "label", labelEdit)...)
	edits = addEdit(edits, i, "onboot", values.OnBoot, func(o vps.OnBoot) vps.Edit { return vps.SetOnBoot{OnBoot: o} })
	edits = addEdit(edits, i, "boot-order", values.BootOrder, func(n int) vps.Edit { return vps.SetBootOrder{Order: n} })
	edits = addEdit(edits, i, "stop-timeout", values.Timeout, func(d time.Duration) vps.Edit { return vps.SetStopTimeout{Timeout: d} })
	edits = addEdit(edits, i, "protect", values.YesNo, func(yes bool) vps.Edit { return vps.SetProtected{Protected: yes} })
	if i.Err == nil && len(edits) == 0 {
		i.Err = usageError("set: nothing to change")
	}
	return forEach(ctx, i, "change", func(ctx context.Context, m Manager, name vps.Name) error { return m.Change(ctx, name, edits...) })
}

// limitEdits reads the options of limits.
func limitEdits(i *invocation) []vps.Edit {
	edits := addEdit(nil, i, "memory", orDefault(values.Memory), func(n int64) vps.Edit { return vps.SetMemory{Bytes: n} })
	edits = addEdit(edits, i, "swap", values.Swap, func(n int64) vps.Edit { return vps.SetSwap{Bytes: n} })
	edits = addEdit(edits, i, "cpus", values.CPUs, func(n int64) vps.Edit { return vps.SetCPUs{Milli: n} })
	return addEdit(edits, i, "pids", orDefault(values.PIDs), func(n int64) vps.Edit { return vps.SetPIDs{Number: n} })
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

// labelEdit reads KEY=VALUE, which sets a label, or -KEY, which removes it.
func labelEdit(s string) (vps.Edit, error) {
	if key, removes := strings.CutPrefix(s, "-"); removes {
		if key == "" || strings.Contains(key, "=") {
			return nil, fmt.Errorf("invalid label %q: use KEY=VALUE, or -KEY to remove it", s)
		}
		return vps.RemoveLabel{Key: key}, nil
	}
	label, err := values.Label(s)
	return vps.SetLabel{Key: label.Key, Value: label.Value}, err
}

// addEdit appends the edit of an option, if it is given.
func addEdit[T any](edits []vps.Edit, i *invocation, name string, parse func(string) (T, error), edit func(T) vps.Edit) []vps.Edit {
	if !i.Has(name) {
		return edits
	}
	return append(edits, edit(get(i, name, parse)))
}

func rateOption() cmdline.Option {
	return cmdline.Option{
		Name: "rate", Placeholder: "RATE", Many: true,
		Usage: "bandwidth limit: 10M, in=100M,out=10M or eth0:10M (default: unlimited); may be repeated",
	}
}

// rateAbout is the help of verbs with --rate.
const rateAbout = `RATE is in bits per second: 64K, 10M, 1.5G (powers of 1000), or unlimited. It
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

func (a *app) renameVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "rename", Group: groupChange, Args: "NAME NEW-NAME", Words: stoppedNames,
		Summary:  "rename a stopped VPS",
		Examples: []string{"croft rename web www"},
		Synonyms: []string{"mv", "move", "ren"},
		About: `The VPS keeps its files, addresses, logs and published ports. Other VPSs reach it
by the new name at once. A host name that is the same as the old name changes
too; one that --hostname set does not.`,
		Run: a.run(func(ctx context.Context, i *invocation) error {
			switch len(i.Words) {
			case 0:
				return usageError("rename: no NAME given")
			case 1:
				return usageError("rename: no NEW-NAME given")
			case 2:
			default:
				return usageError("rename takes a NAME and a NEW-NAME; unexpected argument %q", i.Words[2])
			}
			names, err := parseNames(i.Words)
			if err != nil {
				return usageError("%w", err)
			}
			m, err := i.manager()
			if err != nil {
				return err
			}
			return cannot("rename", string(names[0]), m.Rename(ctx, names[0], names[1]))
		}),
	}
}
