package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/runtime"
)

func hostVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "host", Group: command.GroupHost, Args: "COMMAND",
		Summary:  "check this host; boot and shut down its VPSs",
		Synonyms: []string{"node", "hn"},
		Verbs:    []*cmdline.Verb{hostCheckVerb(a), hostBootVerb(a), hostShutdownVerb(a)},
	}
}

func hostCheckVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "check",
		Summary:  "check what croft needs or can use on this host",
		Examples: []string{"croft host check"},
		About: `Prints one line for each check: ok, warning (VPSs run, but something is limited)
or missing (no VPS can run), what was found, what it is for, and a command that
repairs it. Most checks try the feature without a visible effect. The exit status
is 8 if something is missing, and 0 otherwise.`,
		Options: command.TableOptions("print a JSON array"),
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o, m, err := command.Listing[runtime.HostCheck](i)
			if err != nil {
				return err
			}
			checks, err := m.CheckHost(ctx)
			if err != nil {
				return err
			}
			if err := printChecks(o, checks); err != nil {
				return err
			}
			if lacking := runtime.HostLacking(checks); len(lacking) > 0 {
				return fail.New(fail.Host, "no VPS can run on this host; missing: %s", strings.Join(lacking, ", "))
			}
			return nil
		}),
	}
}

// printChecks prints checks. A remedy is a command to copy: where its column
// would be shortened, the remedies are below the table, each on a line.
func printChecks(o command.Output, checks []runtime.HostCheck) error {
	t := display.Table{{"STATUS", "WHAT", "FOUND", "FOR", "REMEDY"}}
	var remedies strings.Builder
	for _, c := range checks {
		t = append(t, []string{string(c.Status), c.Name, c.Found, c.For, c.Remedy})
		if c.Remedy != "" {
			fmt.Fprintf(&remedies, "%s: %s\n", display.OneLine(c.Name), display.OneLine(c.Remedy))
		}
	}
	if o.Name != display.FormatTable || o.Room() == 0 {
		return command.PrintAll(o, checks, t)
	}
	for n := range t {
		t[n] = t[n][:4]
	}
	if err := command.PrintAll(o, checks, t, "FOR"); err != nil || remedies.Len() == 0 {
		return err
	}
	return o.Print("\nRemedies:\n" + remedies.String())
}

func hostBootVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "boot",
		Summary:  "start the VPSs that should run after a boot of the host",
		Examples: []string{"croft host boot --wait"},
		About: `The host's init runs this command at boot. It starts every VPS with --onboot yes,
and every VPS with --onboot last that was running when the host went down. VPSs
with the highest --boot-order start first; VPSs with the same order start
together. A running VPS is left as it is. A failure does not stop the others; the
exit status is that of the first failure.`,
		Options: []cmdline.Option{
			waitOption("continue with the next order, and return,"),
			{Name: "timeout", Placeholder: "TIME", Usage: "time limit of --wait for each VPS (default: 90s)"},
		},
		Synonyms: []string{"start", "up"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := runtime.StartOptions{Wait: command.Get(i, "wait", values.Wait), Timeout: command.Get(i, "timeout", values.Timeout)}
			i.OnlyWith("timeout", "wait")
			m, err := hostManager(i)
			if err != nil {
				return err
			}
			results, err := m.BootHost(ctx, o, teller(i, "started", "start"))
			return hostEnd(results, err)
		}),
	}
}

func hostShutdownVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "shutdown", Harmful: true,
		Summary:  "stop all VPSs; the next boot starts them again",
		Examples: []string{"croft host shutdown --timeout 5m"},
		About: `The host's init runs this command at shutdown. The order is the reverse of "croft
host boot". A VPS that has not ended after its --stop-timeout is killed.`,
		Options: []cmdline.Option{
			{Name: "timeout", Placeholder: "TIME", Usage: "time limit for all VPSs together; then the rest is killed (default: no limit)"},
		},
		Synonyms: []string{"stop", "halt", "down"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := runtime.ShutdownOptions{Timeout: command.Get(i, "timeout", values.Timeout)}
			m, err := hostManager(i)
			if err != nil {
				return err
			}
			results, err := m.ShutdownHost(ctx, o, teller(i, "stopped", "stop"))
			return hostEnd(results, err)
		}),
	}
}

// hostManager returns the Manager of a command without words.
func hostManager(i *command.Invocation) (command.Manager, error) {
	if err := i.None(); err != nil {
		return nil, err
	}
	return i.Manager()
}

// teller prints the result for each VPS: "web: started after 1.2s", or the error.
func teller(i *command.Invocation, done, act string) func(runtime.HostResult) {
	return func(r runtime.HostResult) {
		if r.Err != nil {
			i.Report(i.Path, command.Cannot(act, string(r.Name), r.Err))
			return
		}
		i.Screen.Line(fmt.Sprintf("%s: %s after %s", r.Name, done, r.Took.Round(100*time.Millisecond)))
	}
}

// hostEnd returns the error of the first VPS that failed to start or stop.
func hostEnd(results []runtime.HostResult, err error) error {
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return command.Reported{Err: r.Err}
		}
	}
	return nil
}
