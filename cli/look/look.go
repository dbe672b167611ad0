// Package look has the commands that show VPSs and change nothing.
package look

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

// StatusVerb returns the command status.
func StatusVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "status", Group: command.GroupLook, Args: "[NAME...]", Words: command.VPSNames,
		Query:    true,
		Summary:  "print the state of VPSs",
		Examples: []string{"croft status", "croft status web", "croft status --json web db"},
		About: `With names, prints the state of these VPSs, one word per line. Without names, or
with an option for tables, prints a table: the name of each VPS, its state, and how a
stopped VPS ended, why it is broken, or which settings take effect at its next start.

The state is one of:

  stopped    it does not run
  starting   its init does not run yet
  running    its init runs
  paused     "croft pause" has paused it
  restarting it has ended, and waits to be started again (--restart)
  stopping   its init has ended, and croft removes what it left on the host
  orphaned   it runs, and its monitor was killed; the next command repairs this
  broken     its files cannot be read

The exit status is 0 in every state.`,
		Options: command.TableOptions("print name, status, booted and pending as JSON"),
		Run:     a.Run(printStatus),
	}
}

// A vpsStatus is what status prints of a VPS. Its JSON keys are stable:
// docs/state.md.
type vpsStatus struct {
	Name    string         `json:"name"`
	Status  runtime.Status `json:"status"`
	Booted  bool           `json:"booted"`
	Pending []string       `json:"pending"`
}

// elsewhere says that a VPS belongs to another host, or is about to.
func elsewhere(info runtime.Info) string {
	if info.Move == nil || info.Move.Step == "arrived" || info.Move.Step == "abandoned" {
		return ""
	}
	return info.Move.String()
}

// pendingText names the settings that take effect at the next start.
func pendingText(pending []string) string {
	if len(pending) == 0 {
		return ""
	}
	return "pending: " + strings.Join(pending, ", ")
}

func printStatus(ctx context.Context, i *command.Invocation) error {
	o := command.OutputOf[vpsStatus](i)
	show := func(infos []runtime.Info) error {
		var states []vpsStatus
		words, t := display.Table{{""}}, display.Table{{"NAME", "STATUS", "DETAIL"}}
		for _, info := range infos {
			states = append(states, vpsStatus{string(info.Name), info.Status, info.Booted, append([]string{}, info.Pending...)})
			words = append(words, []string{string(info.Status)})
			t = append(t, []string{string(info.Name), string(info.Status), cmp.Or(info.Error, elsewhere(info), EndText(info.LastEnd), info.FirstBoot.String(), pendingText(info.Pending))})
		}
		switch {
		case o.Name == display.FormatJSON:
			return command.PrintOneOrMany(o, states)
		case len(i.Words) > 0 && !i.Has("format") && !i.Has("no-header") && !i.Has("wide"):
			return i.Print(words.Text(display.Layout{Bare: true}))
		}
		return command.PrintAll(o, states, t)
	}
	if len(i.Words) > 0 {
		return each(ctx, i, "look at", show)
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	infos, err := m.List(ctx)
	if err != nil {
		return err
	}
	return show(infos)
}

// InspectVerb returns the command inspect.
func InspectVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "inspect", Group: command.GroupLook, Args: "NAME...", Words: command.VPSNames,
		Query:    true,
		Summary:  "show everything about VPSs as JSON",
		Examples: []string{"croft inspect web", "croft inspect --bundle web"},
		About: `One name gives an object, several names give an array.

With --bundle croft prints config.json of the VPS's OCI bundle: of a running VPS
the one it runs with, of a stopped VPS the one another OCI runtime would use.`,
		Options: []cmdline.Option{
			command.JsonOption("accepted for consistency; output is always JSON"),
			command.ObjectFormatOption(),
			{Name: "bundle", Usage: "print the configuration of the OCI bundle instead"},
		},
		Aliases: []string{"info", "show"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if i.Is("bundle") {
				o := command.ObjectsOf[json.RawMessage](i)
				return eachOf(ctx, i, "inspect", command.Manager.Bundle, func(all []json.RawMessage) error { return command.PrintOneOrMany(o, all) })
			}
			o := command.ObjectsOf[runtime.Info](i)
			return each(ctx, i, "inspect", func(infos []runtime.Info) error { return command.PrintOneOrMany(o, infos) })
		}),
	}
}

// each inspects the VPSs on the line, and shows those without an error.
func each(ctx context.Context, i *command.Invocation, act string, show func([]runtime.Info) error) error {
	return eachOf(ctx, i, act, command.Manager.Inspect, show)
}

// eachOf asks about each VPS on the line, and shows the answers without an error.
func eachOf[T any](ctx context.Context, i *command.Invocation, act string, ask func(command.Manager, context.Context, vps.Name) (T, error), show func([]T) error) error {
	var all []T
	first := command.ForEach(ctx, i, act, func(ctx context.Context, m command.Manager, name vps.Name) error {
		one, err := ask(m, ctx, name)
		if err == nil {
			all = append(all, one)
		}
		return err
	})
	if first != nil && len(all) == 0 {
		return first
	}
	if err := show(all); err != nil {
		return err
	}
	return first
}

// LogsVerb returns the command logs.
func LogsVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "logs", Group: command.GroupLook, Args: "NAME", Words: command.VPSNames,
		Query:    true,
		Summary:  "print the console output of a VPS",
		Examples: []string{"croft logs --follow web", "croft logs --boot -1 --lines 20 web"},
		About: `On a terminal, escape sequences, carriage returns and other control characters are
removed. --raw keeps them; so does output to a file or a pipe.`,
		Options: []cmdline.Option{
			{Name: "follow", Short: "f", Usage: "print new output until the VPS stops"},
			{Name: "boot", Short: "b", Placeholder: "N", Kind: command.BootsOfVPS, Usage: "boot to print: 3 is the third, 0 the newest, -1 the one before it (default: 0)"},
			{Name: "lines", Short: "n", Placeholder: "N", Usage: "print only the last N lines (default: all)"},
			{Name: "monitor", Usage: "print the log of its monitor: what failed at a reboot or after the VPS stopped"},
			{Name: "raw", Usage: "keep control characters on a terminal"},
		},
		Synonyms: []string{"log"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := runtime.LogOptions{Follow: i.Is("follow"), Boot: command.Get(i, "boot", values.Boot), Lines: -1, Monitor: i.Is("monitor")}
			if i.Has("lines") {
				o.Lines = command.Get(i, "lines", values.Lines)
			}
			return command.ForOne(ctx, i, "print the log", func(ctx context.Context, m command.Manager, name vps.Name) error {
				if !o.Follow {
					return m.Logs(ctx, name, o, untrusted(i))
				}
				return i.WhileRead(ctx, func(ctx context.Context) error { return m.Logs(ctx, name, o, untrusted(i)) })
			})
		}),
	}
}

// untrusted returns the writer for text of a VPS: stdout. If that is a terminal, the
// text is cleaned, unless --raw is given.
func untrusted(i *command.Invocation) io.Writer {
	if i.Is("raw") || !term.IsTerminal(int(i.Stdio.Out.Fd())) {
		return i.Stdio.Out
	}
	return display.NewCleaner(i.Stdio.Out)
}

// WaitVerb returns the command wait.
func WaitVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "wait", Group: command.GroupLook, Args: "NAME... | --all", Words: command.VPSNames,
		Query:    true,
		Summary:  "wait until VPSs reach a condition",
		Examples: []string{"croft wait --for booted web", "croft wait --for stopped --timeout 60 web db"},
		About: `The conditions are:

  running   its init runs
  stopped   it is stopped
  booted    its init has booted
  network   it has booted, and its addresses answer the host
  reboot    it has booted once more since the wait began

For stopped, prints the exit status of each VPS's init on a line: 0 after a
power-off, 128+N if signal N ended it, and - if the status is not known, for
example because the VPS has not run since the host booted. For the other
conditions, prints nothing.

Start the wait for a reboot before the reboot: a reboot that is over does not
count.`,
		Options: []cmdline.Option{
			{Name: "for", Also: "until", Placeholder: "CONDITION", Usage: "running, stopped, booted, network or reboot (default: stopped)", Choices: values.Conditions()},
			{Name: "timeout", Placeholder: "TIME", Usage: "give up after this time, with exit status 9 (default: no limit)"},
			command.AllHereOption("wait for"),
		},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			until, timeout := command.Get(i, "for", values.Condition), command.Get(i, "timeout", values.Timeout)
			if !i.Has("for") {
				until = runtime.UntilStopped
			}
			i.OnlyHere = true
			return command.ForEach(ctx, i, "wait", func(ctx context.Context, m command.Manager, name vps.Name) error {
				end, err := m.Wait(ctx, name, until, timeout)
				if err != nil || until != runtime.UntilStopped {
					return err
				}
				return i.Print(initStatus(end) + "\n")
			})
		}),
	}
}

// initStatus returns the exit status of the init of a VPS that has ended; "-" if it
// is unknown.
func initStatus(end *runtime.End) string {
	if end == nil || end.Reason == runtime.EndUnknown {
		return "-"
	}
	return strconv.Itoa(end.Status)
}
