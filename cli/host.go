package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/runtime"
)

func hostVerb() *verb {
	return &verb{
		name: "host", group: groupHost, args: "COMMAND",
		summary:  "check this host, boot and shut down its VPSs",
		synonyms: []string{"node", "hn"},
		verbs:    []*verb{hostCheckVerb(), hostBootVerb(), hostShutdownVerb()},
	}
}

func hostCheckVerb() *verb {
	return &verb{
		name:    "check",
		summary: "say what this host has of what croft needs or could use",
		about: `One line for each thing: ok, warning (VPSs run, with less) or missing (none can
run), what there is, what it is for, and the command that mends it. Most is
found out by trying, out of sight. The exit status is 8 if something is missing,
and 0 otherwise.`,
		options: []option{jsonOption("as a JSON array"), {name: "no-header", usage: "no line with the columns' names"}},
		run: func(ctx context.Context, i *invocation) error {
			i.notBoth("json", "no-header")
			m, err := hostManager(i)
			if err != nil {
				return err
			}
			checks, err := m.CheckHost(ctx)
			if err != nil {
				return err
			}
			if err := printChecks(i, checks); err != nil {
				return err
			}
			if lacking := runtime.HostLacking(checks); len(lacking) > 0 {
				return fail.New(fail.Host, "no VPS can run on this host: something is missing: %s", strings.Join(lacking, ", "))
			}
			return nil
		},
	}
}

func printChecks(i *invocation, checks []runtime.HostCheck) error {
	if i.flags.Bool("json") {
		return i.printJSON(checks)
	}
	var t table
	if !i.flags.Bool("no-header") {
		t = append(t, []string{"STATUS", "WHAT", "FOUND", "FOR", "REMEDY"})
	}
	for _, c := range checks {
		t = append(t, []string{string(c.Status), c.Name, c.Found, c.For, c.Remedy})
	}
	return i.print(t.String())
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
