package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/internal/ssh"
	"croft/internal/vps"
	"croft/runtime"
)

func moveVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "move", Harmful: true, Group: command.GroupLife, Args: "NAME [USER@]HOST", Words: command.VPSNames,
		Summary:  "move a VPS to another host",
		Examples: []string{"croft move --check web root@host-2", "croft move web root@host-2 --network croft0=lan"},
		About: `Reaches the other host by ssh, as "croft --host" does. That host needs croft, and no
daemon. First it is checked: version, architecture, kernel, name, user ids, addresses,
published ports, volumes, mounts, devices and free space. What is missing is an error,
and nothing is changed; --check only checks.

The files are copied while the VPS runs. Then it is shut down, what has changed since is
copied, it starts on the other host and announces its addresses there. Its processes
start again there. With --live they go on instead: they are saved as "croft checkpoint"
does it, and continue on the other host with their memory. It keeps its settings, credentials, addresses,
MAC addresses and identity. Layers of templates that the other host has are not copied.
This host keeps the VPS stopped and never starts it again. Prints the name there.

Its snapshots are moved too, unless --no-snapshots is given. Not moved: console logs, and
files in mounts. They stay here.

If the move fails or is killed, the VPS belongs to exactly one of the two hosts and runs
there if it ran before. The same command completes or repeats the move, and --abort takes
the VPS back as long as the other host has not started it.`,
		Options: []cmdline.Option{
			{Name: "name", Placeholder: "NEW", Usage: "name of the VPS on the other host (default: the same)"},
			{Name: "network", Placeholder: "OLD=NEW|none", Many: true, Usage: "use the network NEW of the other host for OLD; none: the VPS gets no interfaces; may be repeated"},
			{Name: "live", Usage: "move the processes with their memory; both hosts need the same criu"},
			{Name: "no-snapshots", Usage: "do not move the snapshots"},
			{Name: "check", Usage: "only check, and change nothing"},
			{Name: "remove-source", Usage: "destroy the VPS on this host when it runs on the other"},
			{Name: "timeout", Placeholder: "TIME", Usage: "kill the VPS if it has not shut down after this time (default: its own timeout)"},
			{Name: "compress", Placeholder: "KIND", Usage: "compression of the files: zstd, gzip or none (default: zstd)", Choices: compressions()},
			{Name: "abort", Usage: "the VPS belongs to this host again; the other host is asked first"},
			{Name: "take-over", Usage: "the VPS belongs to this host; the other one, which must never start it, is not asked"},
			{Name: "receive", Usage: "for croft itself: the other end of a move", Hidden: true},
			{Name: "settle", Usage: "for croft itself: end a move that was killed", Hidden: true},
		},
		Synonyms: []string{"migrate", "vzmigrate", "relocate"},
		Run:      a.Run(move),
	}
}

func move(ctx context.Context, i *command.Invocation) error {
	ways := map[string]func(context.Context, *command.Invocation) error{"receive": receiveMove, "settle": settleMove, "abort": abortMove, "take-over": takeMove}
	for _, name := range []string{"receive", "settle", "abort", "take-over"} {
		if i.Is(name) {
			for _, other := range []string{"name", "network", "live", "no-snapshots", "check", "remove-source", "timeout", "compress", "receive", "settle", "abort", "take-over"} {
				if other != name && i.Has(other) {
					return command.UsageError("move: --%s, and --%s", name, other)
				}
			}
			return ways[name](ctx, i)
		}
	}
	return moveTo(ctx, i)
}

func moveTo(ctx context.Context, i *command.Invocation) error {
	o := runtime.MoveOptions{
		Live: i.Is("live"), Check: i.Is("check"), RemoveSource: i.Is("remove-source"), NoSnapshots: i.Is("no-snapshots"), Compress: command.Get(i, "compress", parseCompression),
		Name: command.Get(i, "name", vps.ParseName), StopTimeout: command.Get(i, "timeout", values.Timeout), Tell: i.Screen.Line,
	}
	if o.Live && i.Has("timeout") {
		return command.UsageError("move: --live, and --timeout, which is for a shutdown")
	}
	networks, none, err := replacements(i)
	if err != nil {
		return err
	}
	o.Networks, o.NoNetwork = networks, none
	if len(i.Words) != 2 {
		return command.UsageError("move takes a NAME and a HOST")
	}
	name, err := vps.ParseName(i.Words[0])
	if err != nil {
		return err
	}
	host, err := ssh.ParseHost(i.Words[1])
	if err != nil {
		return command.UsageError("%w", err)
	}
	o.Host = host.String()
	o.Dial = func(ctx context.Context) (runtime.MoveLink, error) { return dialMove(ctx, i.App, host) }
	o.Guard = func() (func(), error) { return guardMove(i, name) }
	m, err := i.Manager()
	if err != nil {
		return err
	}
	r, err := m.Move(ctx, name, o)
	if err != nil {
		return command.Cannot("move to "+o.Host, string(name), err)
	}
	if o.Check {
		return tellChecked(i, name, o, r)
	}
	text := fmt.Sprintf("%s belongs to %s now", name, o.Host)
	if r.Down > 0 {
		text = fmt.Sprintf("%s runs on %s; it did not run for %s", name, o.Host, r.Down.Round(100*time.Millisecond))
	}
	if !o.RemoveSource {
		text += "; this host keeps it stopped"
	}
	i.Screen.Line(text)
	return i.Print(string(r.Name) + "\n")
}

// tellChecked prints the result of a check.
func tellChecked(i *command.Invocation, name vps.Name, o runtime.MoveOptions, r runtime.MoveResult) error {
	if len(r.Problems) > 0 {
		return command.Cannot("move to "+o.Host, string(name), fail.New(fail.State, "%s", strings.Join(r.Problems, "; ")).WithHint("croft inspect %s", name))
	}
	for _, n := range r.Notes {
		i.Screen.Line(n)
	}
	return i.Print(fmt.Sprintf("%s can be moved to %s as %s\n", name, o.Host, r.Name))
}

// moveName returns the only word of the line.
func moveName(i *command.Invocation) (vps.Name, error) {
	if i.Err != nil {
		return "", i.Err
	}
	if len(i.Words) != 1 {
		return "", command.UsageError("move --abort and --take-over take one NAME")
	}
	return vps.ParseName(i.Words[0])
}

// dialNamed connects to the host that the record of a move names.
func dialNamed(a *command.App) func(ctx context.Context, host string) (runtime.MoveLink, error) {
	return func(ctx context.Context, text string) (runtime.MoveLink, error) {
		host, err := ssh.ParseHost(text)
		if err != nil {
			return nil, err
		}
		return dialMove(ctx, a, host)
	}
}

func abortMove(ctx context.Context, i *command.Invocation) error {
	name, err := moveName(i)
	if err != nil {
		return err
	}
	m, err := i.Manager()
	if err == nil {
		err = m.AbortMove(ctx, name, dialNamed(i.App))
	}
	return command.Cannot("take back", string(name), err)
}

func takeMove(ctx context.Context, i *command.Invocation) error {
	name, err := moveName(i)
	if err != nil {
		return err
	}
	m, err := i.Manager()
	if err == nil {
		err = m.TakeMove(ctx, name)
	}
	return command.Cannot("take over", string(name), err)
}

// receiveMove is the target of a move.
func receiveMove(ctx context.Context, i *command.Invocation) error {
	if len(i.Words) > 0 || term.IsTerminal(int(i.Stdio.In.Fd())) {
		return command.UsageError("move --receive is for croft itself")
	}
	if host, err := os.Hostname(); err == nil { // the user sees what two hosts say
		i.Place.Warn = func(text string) { i.Screen.Warn(host + ": " + text) }
	}
	i.Place.Progress = nil // the source shows it
	m, err := i.Manager()
	if err != nil {
		return err
	}
	return m.ReceiveMove(ctx, i.Stdio.In, i.Stdio.Out)
}

// How often a guard asks a host that does not answer, and how long it waits then.
const (
	settleTries = 20
	settlePause = 5 * time.Second
)

// settleMove is the guard of a move. Its standard input ends when the process of the move
// has ended. Then it does what is left, unless that process has written that nothing is.
func settleMove(ctx context.Context, i *command.Invocation) error {
	name, err := moveName(i)
	if err != nil {
		return err
	}
	word := make([]byte, 1)
	if n, _ := i.Stdio.In.Read(word); n > 0 {
		return nil
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		err := m.SettleMove(ctx, name, dialNamed(i.App))
		if n == settleTries || !fail.Is(err, fail.Host) && !fail.Is(err, fail.Busy) {
			return err
		}
		time.Sleep(settlePause)
	}
}
