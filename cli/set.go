package cli

import (
	"context"
	"slices"

	"croft/runtime"
)

func setVerb() *verb {
	return &verb{
		name: "set", group: groupChange, args: "NAME... | --all", words: vpsNames,
		summary: "change settings of VPSs",
		examples: []string{
			"croft set web --onboot yes --boot-order 10",
			"croft set web --ip-add 10.90.0.20 --rate 100M",
		},
		about: `Changes are saved and take effect immediately. Settings you do not name are left
unchanged. If one of the changes is refused or fails, none is made.

--ip-add and --ip-del change the addresses of eth0, inside the VPS and on its
network, without a restart. An address in use is refused.

` + rateAbout + `

--onboot controls whether a boot of the host starts the VPS: yes, no, or last
(if it was running, or should have been, when the host went down). A VPS that
was stopped deliberately ("croft stop", or "poweroff" inside) stays stopped; one
that ended because of a power cut, a crash or the host's shutdown is started
again.`,
		options: []option{onBootOption(), bootOrderOption(), stopTimeoutOption(),
			option{name: "ip-add", placeholder: "ADDRESS", many: true, usage: "add an address; may be repeated"},
			option{name: "ip-del", placeholder: "ADDRESS", many: true, kind: addressesOfVPS, usage: "remove an address; may be repeated"},
			rateOption(), connectionsOption(),
			allOption("change")},
		synonyms: []string{"config", "change", "modify", "update"},
		run:      set,
	}
}

func onBootOption() option {
	return option{
		name: "onboot", placeholder: "yes|no|last", choices: onBoots(),
		usage: "start at host boot: yes, no, or last: if it was running before (default: last)",
	}
}

func bootOrderOption() option {
	return option{name: "boot-order", placeholder: "NUMBER", usage: "start priority; a higher one starts first and stops last (default: 0)"}
}

func stopTimeoutOption() option {
	return option{name: "stop-timeout", placeholder: "TIME", usage: "time to shut down before it is killed (default: 60s)"}
}

func set(ctx context.Context, i *invocation) error {
	c := runtime.Change{
		OnBoot:    given(i, "onboot", parseOnBoot),
		BootOrder: given(i, "boot-order", parseBootOrder),
		StopTime:  given(i, "stop-timeout", parseTimeout),
	}
	c.AddAddresses, c.RemoveAddresses = getMany(i, "ip-add", parseAddress), getMany(i, "ip-del", parseAddress)
	c.Rates, c.Connections = getMany(i, "rate", parseRate), given(i, "connections", parseConnections)
	for _, a := range c.AddAddresses {
		if i.err == nil && slices.Contains(c.RemoveAddresses, a) {
			i.err = usageError("--ip-add and --ip-del: both have %s", a)
		}
	}
	if i.err == nil && c.Empty() {
		i.err = usageError("set: nothing to change")
	}
	return forEach(ctx, i, "change", func(ctx context.Context, m Manager, name string) error { return m.Set(ctx, name, c) })
}

// given is get for a setting that stays as it is if the option is absent: nil.
func given[T any](i *invocation, name string, parse func(string) (T, error)) *T {
	if !i.has(name) {
		return nil
	}
	value := get(i, name, parse)
	return &value
}
