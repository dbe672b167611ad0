package cli

import (
	"context"
	"fmt"
	"time"

	"croft/runtime"
)

func hostVerb() *verb {
	return &verb{
		name: "host", group: groupHost, args: "COMMAND",
		summary:  "boot and shut down the VPSs of this host",
		synonyms: []string{"node", "hn"},
		verbs:    []*verb{hostBootVerb(), hostShutdownVerb()},
	}
}

func hostBootVerb() *verb {
	return &verb{
		name:    "boot",
		summary: "start the VPSs that should run",
		about: `This is for the host's own boot. Started is what --onboot yes says, and what
--onboot last says if it should have been running when the host went down.
Those with the highest --boot-order come first; those with the same are started
at the same time. One that runs is left alone; one that fails is in nobody's
way, and makes the exit status.`,
		options: []option{
			waitOption("go on to the next order, and return,"),
			{name: "timeout", placeholder: "TIME", usage: "how long to wait for each for --wait (90s)"},
		},
		synonyms: []string{"start", "up"},
		run: func(ctx context.Context, i *invocation) error {
			o := runtime.StartOptions{Wait: get(i, "wait", parseWait), Timeout: get(i, "timeout", parseTimeout)}
			i.onlyWith("timeout", "wait")
			m, err := hostManager(i)
			if err != nil {
				return err
			}
			results, err := m.BootHost(ctx, o, i.teller("started", "start"))
			return hostEnd(results, err)
		},
	}
}

func hostShutdownVerb() *verb {
	return &verb{
		name:    "shutdown",
		summary: "stop all VPSs, to be started again by the next boot",
		about: `This is for the host's own shutdown. The order is that of "croft host boot"
reversed. Each VPS has the time of its --stop-timeout, and is killed then.`,
		options: []option{
			{name: "timeout", placeholder: "TIME", usage: "how long all of them together may take; then the rest is killed (no limit)"},
		},
		synonyms: []string{"stop", "halt", "down"},
		run: func(ctx context.Context, i *invocation) error {
			o := runtime.ShutdownOptions{Timeout: get(i, "timeout", parseTimeout)}
			m, err := hostManager(i)
			if err != nil {
				return err
			}
			results, err := m.ShutdownHost(ctx, o, i.teller("stopped", "stop"))
			return hostEnd(results, err)
		},
	}
}

// hostManager is the Manager for a command that takes no words.
func hostManager(i *invocation) (Manager, error) {
	if err := i.none(); err != nil {
		return nil, err
	}
	return i.manager()
}

// teller says what became of each VPS: "web: started after 1.2s", or why not.
func (i *invocation) teller(done, act string) func(runtime.HostResult) {
	return func(r runtime.HostResult) {
		if r.Err != nil {
			i.report(i.path, cannot(act, r.Name, r.Err))
			return
		}
		i.screen.line(fmt.Sprintf("%s: %s after %s", r.Name, done, r.Took.Round(100*time.Millisecond)))
	}
}

// hostEnd is how a boot or shutdown has ended: as the first VPS that failed.
func hostEnd(results []runtime.HostResult, err error) error {
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return reported{r.Err}
		}
	}
	return nil
}
