// Package cli is the command line: flags in, one call on a Manager, text or
// JSON out.
//
// Every command is a cmdline.Verb. Parsing, help and completion come from it.
// Errors are printed, and become an exit status, in one place (report.go). The
// output:
//
//   - stdout carries results and nothing else; a command without a result is silent;
//   - stderr has one line for each message, beginning with "croft: ". A failure is
//     "croft: NAME: cannot VERB: REASON" and, if a user can do something,
//     "croft: hint: COMMAND";
//   - no colour, no prompt, and progress in place only on a terminal.
package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/internal/fail"
	"croft/runtime"
)

// Main runs the command line args, args[0] being the program's name, and
// returns the exit status: docs/exit-codes.md. umask is for files that the user
// asks for. The umask of the process is for the files of croft.
func Main(args []string, umask int) int {
	// Without SIGPIPE a write without a reader fails, and the command undoes its
	// work. Catch the signal instead of ignoring it: children get its default
	// action again.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	a := &command.App{
		Stdio:   runtime.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr},
		Connect: connect,
		Recipes: func(config string) command.Cookbook { return runtime.OpenCookbook(config) },
		Getenv:  os.Getenv,
		Now:     time.Now,
		Umask:   umask,
		Replace: replaceProcess,
		Child:   runChild,
	}
	return execute(a, args)
}

// connect returns the real Manager.
func connect(o runtime.Options) (command.Manager, error) {
	m, err := runtime.New(o)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// completeCommand is the command for the completion functions of shells.
const completeCommand = "__complete"

func execute(a *command.App, args []string) int {
	a.Screen = display.NewScreen(a.Stdio.Err, a.Getenv, a.Now)
	a.Report = func(path []string, err error) { printError(a, path, err) }
	if len(args) > 0 {
		a.Line = args[1:]
	}
	if len(a.Line) == 1 && slices.Contains([]string{"--version", "-v", "-V"}, a.Line[0]) {
		a.Line = []string{"version"}
	}
	root := commands(a)
	if len(a.Line) > 0 && a.Line[0] == completeCommand {
		complete(a, root, a.Line[1:])
		return 0
	}
	line, err := cmdline.Read(root, a.Line)
	if err == nil {
		err = dispatch(a, root, line)
	}
	return finish(a, line, err)
}

// dispatch runs the verb of a line.
func dispatch(a *command.App, root *cmdline.Verb, line cmdline.Line) error {
	if line.Help {
		return a.Print(cmdline.Help(root, line.Path))
	}
	if line.Verb == root {
		if len(a.Line) == 0 { // like git: the help, and a status that a script notices
			if err := a.Print(cmdline.Help(root, nil)); err != nil {
				return err
			}
			return command.Status(fail.Usage)
		}
		return command.UsageError("no command given").WithHint("croft help")
	}
	host, elsewhere, err := hostOf(a, line)
	if err != nil {
		return err
	}
	if elsewhere {
		return runElsewhere(a, host, line)
	}
	ctx, stop := interruptible(line.Verb)
	defer stop()
	err = line.Run(ctx, root)
	var inside command.Status
	if err == nil || ctx.Err() == nil || errors.As(err, &inside) {
		return err
	}
	// The signal is the exit status, whatever the error says.
	return &interrupted{cause: context.Cause(ctx), err: err}
}
