package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

// interrupted is a command that a signal cancelled.
type interrupted struct{ cause, err error }

func (i *interrupted) Error() string { return "interrupted" }
func (i *interrupted) Unwrap() error { return i.err }

// A signaled is the cause of a context that a signal has cancelled.
type signaled struct{ syscall.Signal }

func (s signaled) Error() string { return s.String() }

// interruptible returns a context that ends with the first signal that cancels v.
// The command then undoes its work. A second signal ends croft at once.
func interruptible(v *cmdline.Verb) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	if v.Signals == cmdline.PassOn {
		return ctx, func() { cancel(nil) }
	}
	caught := make(chan os.Signal, 2)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // nohup(1) ignores SIGHUP
			signal.Notify(caught, s)
		}
	}
	go func() {
		s, _ := (<-caught).(syscall.Signal)
		cancel(signaled{s})
		if v.Signals == cmdline.Cancel {
			<-caught
			os.Exit(128 + int(syscall.SIGINT))
		}
	}()
	return ctx, func() {
		signal.Stop(caught)
		cancel(nil)
	}
}

// finish prints err, if that has not been done, and returns the exit status.
func finish(a *command.App, l cmdline.Line, err error) int {
	a.Screen.Clear()
	if err == nil {
		return 0
	}
	var s command.Status
	if errors.As(err, &s) {
		return int(s)
	}
	if readerGone(err) {
		return 128 + int(syscall.SIGPIPE)
	}
	printError(a, l.Meant, err)
	return exitStatus(err, l.Verb)
}

// readerGone reports whether the reader of standard output is gone, as after
// croft list | head -1. croft prints nothing then.
func readerGone(err error) bool {
	var path *os.PathError
	return errors.As(err, &path) && path.Path == os.Stdout.Name() && errors.Is(err, syscall.EPIPE)
}

// printError prints an error, unless it has been printed.
func printError(a *command.App, path []string, err error) {
	var done command.Reported
	if errors.As(err, &done) {
		return
	}
	a.Screen.Line(err.Error())
	if hint := hint(a, path, err); hint != "" {
		a.Screen.Line("hint: " + hint)
	}
	if a.Debug {
		for _, cause := range causes(err) {
			a.Screen.Line("debug: " + cause)
		}
	}
}

// hint returns the next command for the user: the hint of the error, or the usual
// hint for its kind. path is the command that was typed, or probably meant.
func hint(a *command.App, path []string, err error) string {
	var stop *interrupted
	var command *runtime.CommandError
	hint := shown(a, fail.HintOf(err), path)
	if hint != "" || errors.As(err, &stop) || errors.As(err, &command) {
		return hint
	}
	var bad *vps.BadName
	if errors.As(err, &bad) && !commands(a).At(path).Harmful {
		if hint = shown(a, renamed(a, bad, path), path); hint != "" {
			return hint
		}
	}
	return shown(a, usualHint(a, path, err), path)
}

// renamed returns the typed command line with a valid name instead of the invalid
// one; "" if there is no such name. If the name of a new VPS looks like a host
// name, the line also has that host name.
func renamed(a *command.App, bad *vps.BadName, path []string) string {
	good := bad.Converted()
	if good == "" {
		return ""
	}
	words := slices.Clone(a.Line)
	at := slices.IndexFunc(words, func(w string) bool {
		return w == bad.Name || strings.HasPrefix(w, "--") && strings.HasSuffix(w, "="+bad.Name)
	})
	if at < 0 {
		return ""
	}
	words[at] = strings.TrimSuffix(words[at], bad.Name) + good
	given := slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--hostname") })
	if slices.Equal(path, []string{"create"}) && words[at] == good && strings.Contains(bad.Name, ".") && vps.IsDomain(bad.Name) && !given {
		words = slices.Insert(words, at+1, "--hostname", bad.Name)
	}
	return a.CommandLine(words...)
}

// usualHint returns the usual hint for the kind of an error.
func usualHint(a *command.App, path []string, err error) string {
	switch fail.KindOf(err) {
	case fail.Usage:
		return strings.Join(append([]string{"croft help"}, path...), " ")
	case fail.Busy:
		if !slices.ContainsFunc(a.Line, func(s string) bool { return strings.HasPrefix(s, "--lock-timeout") }) {
			return a.CommandLine(append([]string{"--lock-timeout", "60s"}, a.Line...)...)
		}
	case fail.Internal:
		if !a.Debug {
			return a.CommandLine(append([]string{"--debug"}, a.Line...)...)
		}
	}
	return ""
}

// causes returns the chain of errors below err, the outermost first, a line each.
func causes(err error) []string {
	var all []string
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				all = append(all, "because: "+one.Error())
				all = append(all, causes(one)...)
			}
			return all
		default:
			return all
		}
		if err == nil {
			return all
		}
		all = append(all, "because: "+err.Error())
	}
}

// exitStatus returns the exit status of an error: docs/exit-codes.md.
func exitStatus(err error, v *cmdline.Verb) int {
	var stop *interrupted
	if errors.As(err, &stop) {
		var s signaled
		if errors.As(stop.cause, &s) {
			return 128 + int(s.Signal)
		}
		return 128 + int(syscall.SIGINT)
	}
	var command *runtime.CommandError
	if errors.As(err, &command) {
		return command.Status
	}
	// The low statuses belong to the command inside.
	if v != nil && v.StatusInside {
		return fail.ExecFailed
	}
	return int(fail.KindOf(err))
}
