package cli

import (
	"context"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/cli/values"
	"croft/runtime"
)

// An invocation is one command as it was typed, with the program around it.
type invocation struct {
	*app
	*cmdline.Invocation
	place runtime.Options
}

// run returns the Run of a verb that needs the program. The options of every
// command have been read before do is called.
func (a *app) run(do func(context.Context, *invocation) error) func(context.Context, *cmdline.Invocation) error {
	return func(ctx context.Context, parsed *cmdline.Invocation) error {
		i := &invocation{app: a, Invocation: parsed}
		if err := i.readGlobals(); err != nil {
			return err
		}
		return do(ctx, i)
	}
}

// get is cmdline.Get.
func get[T any](i *invocation, name string, parse func(string) (T, error)) T {
	return cmdline.Get(i.Invocation, name, parse)
}

// getMany is cmdline.GetMany.
func getMany[T any](i *invocation, name string, parse func(string) (T, error)) []T {
	return cmdline.GetMany(i.Invocation, name, parse)
}

// readGlobals reads the options of every command: the directories, and how to talk.
func (i *invocation) readGlobals() error {
	i.place = runtime.Options{
		Root:          setting(i, "root", "CROFT_ROOT", values.Directory),
		Run:           setting(i, "run-dir", "CROFT_RUN_DIR", values.Directory),
		Config:        setting(i, "config-dir", "CROFT_CONFIG_DIR", values.Directory),
		CgroupManager: setting(i, "cgroup-manager", "CROFT_CGROUP_MANAGER", values.CgroupManager),
		LockTimeout:   get(i, "lock-timeout", values.Duration),
		Warn:          i.screen.Warn,
		Command:       i.command(),
		CommandLine:   i.commandLine(i.typed...),
	}
	i.place.Progress = func(u runtime.Update) { i.screen.Progress(display.Stage(u)) }
	i.app.debug = i.Is("debug")
	if i.app.debug {
		i.place.Debug = i.screen.Log("debug: ")
	}
	return i.Err
}

// commandLine returns a command line of croft, quoted for a shell.
func (a *app) commandLine(words ...string) string {
	return shellescape.QuoteCommand(append([]string{"croft"}, words...))
}

// manager returns the Manager for this command. All words and options must have
// been checked before.
func (i *invocation) manager() (Manager, error) {
	if i.Err != nil {
		return nil, i.Err
	}
	place := i.place
	place.Query, place.KeepHostLimits = i.Verb.Query, i.keepLimits
	return i.connect(place)
}

// setting returns the value of the option, or else of the environment. Zero
// leaves the choice to the runtime. An empty variable counts as missing.
func setting[T any](i *invocation, name, env string, parse func(string) (T, error)) T {
	text := i.getenv(env)
	if i.Has(name) || text == "" {
		return get(i, name, parse)
	}
	value, err := parse(text)
	if err != nil && i.Err == nil {
		i.Err = usageError("%s: %w", env, err)
	}
	return value
}

// command returns the text that other commands print when they find the VPS
// busy: "croft start web". It leaves out the words of a command that runs
// inside: they are private.
func (i *invocation) command() string {
	words := i.Words
	if i.Verb.Inside {
		words = words[:min(len(words), i.Verb.Before)]
	}
	const most = 4
	if len(words) > most {
		words = append(words[:most:most], "…")
	}
	return strings.Join(append(append([]string{"croft"}, i.Path...), words...), " ")
}
