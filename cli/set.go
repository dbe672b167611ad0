package cli

import (
	"context"
	"slices"
	"time"

	"croft/cli/cmdline"
	"croft/internal/vps"
)

func (a *app) setVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "set", Group: groupChange, Args: "NAME... | --all", Words: vpsNames,
		Summary: "change settings of VPSs",
		Examples: []string{
			"croft set web --onboot yes --boot-order 10",
			"croft set web --ip-add 10.90.0.20 --rate 100M",
		},
		About: `Changes are saved and take effect immediately. Settings you do not name are left
unchanged. If one of the changes is refused or fails, none is made.

--ip-add and --ip-del change the addresses of eth0, inside the VPS and on its
network, without a restart. An address in use is refused.

` + rateAbout + `

--onboot controls whether a boot of the host starts the VPS: yes, no, or last
(if it was running, or should have been, when the host went down). A VPS that
was stopped deliberately ("croft stop", or "poweroff" inside) stays stopped; one
that ended because of a power cut, a crash or the host's shutdown is started
again.`,
		Options: []cmdline.Option{onBootOption(), bootOrderOption(), stopTimeoutOption(),
			cmdline.Option{Name: "ip-add", Placeholder: "ADDRESS", Many: true, Usage: "add an address; may be repeated"},
			cmdline.Option{Name: "ip-del", Placeholder: "ADDRESS", Many: true, Kind: addressesOfVPS, Usage: "remove an address; may be repeated"},
			rateOption(), connectionsOption(),
			allOption("change")},
		Synonyms: []string{"config", "change", "modify", "update"},
		Run:      a.run(set),
	}
}

func onBootOption() cmdline.Option {
	return cmdline.Option{
		Name: "onboot", Placeholder: "yes|no|last", Choices: onBoots(),
		Usage: "start at host boot: yes, no, or last: if it was running before (default: last)",
	}
}

func bootOrderOption() cmdline.Option {
	return cmdline.Option{Name: "boot-order", Placeholder: "NUMBER", Usage: "start priority; a higher one starts first and stops last (default: 0)"}
}

func stopTimeoutOption() cmdline.Option {
	return cmdline.Option{Name: "stop-timeout", Placeholder: "TIME", Usage: "time to shut down before it is killed (default: 60s)"}
}

func set(ctx context.Context, i *invocation) error {
	add, remove := getMany(i, "ip-add", parseAddress), getMany(i, "ip-del", parseAddress)
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
	for _, r := range getMany(i, "rate", parseRate) {
		edits = append(edits, r)
	}
	edits = addEdit(edits, i, "connections", parseConnections, func(n int64) vps.Edit { return vps.SetConnections{Limit: n} })
	edits = addEdit(edits, i, "onboot", parseOnBoot, func(o vps.OnBoot) vps.Edit { return vps.SetOnBoot{OnBoot: o} })
	edits = addEdit(edits, i, "boot-order", parseBootOrder, func(n int) vps.Edit { return vps.SetBootOrder{Order: n} })
	edits = addEdit(edits, i, "stop-timeout", parseTimeout, func(d time.Duration) vps.Edit { return vps.SetStopTimeout{Timeout: d} })
	if i.Err == nil && len(edits) == 0 {
		i.Err = usageError("set: nothing to change")
	}
	return forEach(ctx, i, "change", func(ctx context.Context, m Manager, name string) error { return m.Change(ctx, name, edits...) })
}

// addEdit appends the edit of an option, if it is given.
func addEdit[T any](edits []vps.Edit, i *invocation, name string, parse func(string) (T, error), edit func(T) vps.Edit) []vps.Edit {
	if !i.Has(name) {
		return edits
	}
	return append(edits, edit(get(i, name, parse)))
}
