// Package cli is the command line: flags in, one call on a Manager, text or
// JSON out.
//
// Every command is a value (verb), from which its parsing, its help and its
// completion are made. Errors are printed and become an exit status in one
// place (report.go). What goes to the terminal:
//
//   - stdout carries results and nothing else; a command without a result is silent;
//   - stderr has one line for each thing to say, beginning with "croft: ", and
//     for a failure "croft: WHO: cannot VERB: WHY" and, where a person can do
//     something, "croft: hint: WHAT TO TYPE";
//   - no colour, no prompt, and progress in place only on a terminal.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"croft/internal/fail"
	"croft/runtime"
)

// Main runs the command line args, args[0] being the program's name, and
// returns the exit status: docs/exit-codes.md. Files that the user asks for get
// modes by umask, whatever the process's own is.
func Main(args []string, umask int) int {
	// A reader that is gone is a failed write, so that what was begun is undone.
	// What is caught, and not ignored, has its default action in children again.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	a := &app{
		stdio:   runtime.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr},
		connect: connect,
		recipes: new(runtime.Manager),
		getenv:  os.Getenv,
		now:     time.Now,
		umask:   umask,
	}
	return a.main(args)
}

// connect returns the real Manager.
func connect(o runtime.Options) (Manager, error) {
	m, err := runtime.New(o)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// An app is one run of the program.
type app struct {
	stdio   runtime.Stdio
	connect func(runtime.Options) (Manager, error)
	recipes cookbook
	getenv  func(string) string
	now     func() time.Time
	umask   int
	atOnce  int // the most VPSs that are worked on at the same time; 0 is what a command says

	typed  []string // the command line without the program's name
	screen *screen  // stderr
	debug  bool
}

// completeCommand is what the shells' completion functions call.
const completeCommand = "__complete"

func (a *app) main(args []string) int {
	a.screen = newScreen(a.stdio.Err, a.getenv, a.now)
	if len(args) > 0 {
		a.typed = args[1:]
	}
	if len(a.typed) == 1 && slices.Contains([]string{"--version", "-v", "-V"}, a.typed[0]) {
		a.typed = []string{"version"}
	}
	root := a.commands()
	if len(a.typed) > 0 && a.typed[0] == completeCommand {
		a.complete(root, a.typed[1:])
		return 0
	}
	line, err := arrange(root, a.typed)
	if err == nil {
		err = a.dispatch(root, line)
	}
	return a.finish(line, err)
}

// dispatch hands an arranged line to urfave/cli, which parses it and calls the
// verb's run.
func (a *app) dispatch(root *verb, line line) error {
	if line.help {
		return a.print(helpOf(root, line.path))
	}
	if line.verb == root {
		if len(a.typed) == 0 { // as git has it: the help, and a status that a script notices
			if err := a.print(helpOf(root, nil)); err != nil {
				return err
			}
			return status(fail.Usage)
		}
		return usageError("no command given").WithHint("croft help")
	}
	ctx, stop := interruptible(line.verb)
	defer stop()
	err := a.urfave(root).RunContext(ctx, line.argv)
	var inside status
	if err == nil || ctx.Err() == nil || errors.As(err, &inside) {
		return err
	}
	// Whatever else it says: a tool that was killed says that it was.
	return &interrupted{cause: context.Cause(ctx), err: err}
}

// urfave makes urfave/cli's tree of the verbs, with the defaults overridden
// that print to stdout, exit, or guess.
func (a *app) urfave(root *verb) *cli.App {
	app := &cli.App{
		Name:                      "croft",
		Flags:                     root.cliFlags(),
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true, // a comma in a value is the value's
		Writer:                    io.Discard,
		ErrWriter:                 io.Discard,
		ExitErrHandler:            func(*cli.Context, error) {}, // we exit, once
		OnUsageError:              onUsageError,
		Action:                    func(*cli.Context) error { return usageError("no command given") },
	}
	for _, v := range root.verbs {
		app.Commands = append(app.Commands, a.command(v, nil))
	}
	return app
}

func (a *app) command(v *verb, parents []string) *cli.Command {
	path := append(parents[:len(parents):len(parents)], v.name)
	c := &cli.Command{
		Name:         v.name,
		Flags:        v.cliFlags(),
		HideHelp:     true,
		OnUsageError: onUsageError,
		Action: func(c *cli.Context) error {
			i := &invocation{app: a, flags: c, verb: v, path: path, words: c.Args().Slice()}
			if v.run == nil {
				return usageError("%s needs a command", strings.Join(path, " "))
			}
			if err := i.readGlobals(); err != nil {
				return err
			}
			return v.run(c.Context, i)
		},
	}
	for _, sub := range v.verbs {
		c.Subcommands = append(c.Subcommands, a.command(sub, path))
	}
	return c
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usageError("%v", err) }

// print writes a result.
func (a *app) print(text string) error {
	if _, err := io.WriteString(a.stdio.Out, text); err != nil {
		return writeError(err)
	}
	return nil
}
