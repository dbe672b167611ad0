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
		about: `What is set is saved, and holds from now on. What is not named stays as it is.

--ip-add and --ip-del change the addresses of its first interface, inside and
for everybody else, without a restart. An address that somebody has is refused.

` + rateAbout + `

onboot says whether a boot of the host starts the VPS: yes, no, or last: if it
was running, or should have been, when the host went down. One that somebody
has stopped since is not started then, by "croft stop" or by "poweroff" inside;
one that the power cut, a crash or the host's shutdown has ended is.`,
		options: []option{onBootOption(), bootOrderOption(), stopTimeoutOption(),
			option{name: "ip-add", placeholder: "ADDRESS", many: true, usage: "give it an address, also while it runs; may be repeated"},
			option{name: "ip-del", placeholder: "ADDRESS", many: true, usage: "take an address from it, also while it runs; may be repeated"},
			rateOption(), connectionsOption(),
			allOption("change")},
		synonyms: []string{"config", "change", "modify", "update"},
		run:      set,
	}
}

func onBootOption() option {
	return option{
		name: "onboot", placeholder: "yes|no|last", choices: onBoots(),
		usage: "whether a boot of the host starts it; last: if it should have been running (last)",
	}
}

func bootOrderOption() option {
	return option{name: "boot-order", placeholder: "NUMBER", usage: "those with higher ones start first and stop last (0)"}
}

func stopTimeoutOption() option {
	return option{name: "stop-timeout", placeholder: "TIME", usage: "how long it may take to shut down before it is killed (60s)"}
}

func set(ctx context.Context, i *invocation) error {
	c := runtime.Change{
		OnBoot:    given(i, "onboot", parseOnBoot),
		BootOrder: given(i, "boot-order", parseBootOrder),
		StopTime:  given(i, "stop-timeout", parseTimeout),
	}
	add, del := getMany(i, "ip-add", parseAddress), getMany(i, "ip-del", parseAddress)
	for _, a := range add {
		if i.err == nil && slices.Contains(del, a) {
			i.err = usageError("--ip-add and --ip-del: both say %s", a)
		}
	}
	rates := getMany(i, "rate", parseRate)
	connections := given(i, "connections", parseConnections)
	if i.err == nil && c == (runtime.Change{}) && connections == nil && len(add)+len(del)+len(rates) == 0 {
		i.err = usageError("set: nothing to change")
	}
	return forEach(ctx, i, "change", func(ctx context.Context, m Manager, name string) error {
		if len(add)+len(del) > 0 { // first: this is what can be refused
			if err := m.ChangeAddresses(ctx, name, add, del); err != nil {
				return err
			}
		}
		if len(rates) > 0 {
			if err := m.SetRates(ctx, name, rates); err != nil {
				return err
			}
		}
		if connections != nil {
			if err := m.SetConnections(ctx, name, *connections); err != nil {
				return err
			}
		}
		if c == (runtime.Change{}) {
			return nil
		}
		return m.Set(ctx, name, c)
	})
}

// given is get for a setting that stays as it is if the option is absent: nil.
func given[T any](i *invocation, name string, parse func(string) (T, error)) *T {
	if !i.has(name) {
		return nil
	}
	value := get(i, name, parse)
	return &value
}
