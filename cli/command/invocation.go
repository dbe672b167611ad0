package command

import (
	"context"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/cli/values"
	"croft/runtime"
)

// An Invocation is one command as it was typed, with the program around it.
type Invocation struct {
	*App
	*cmdline.Invocation
	Place    runtime.Options
	OnlyHere bool // --all leaves out VPSs that were moved to another host
}

// Run returns the Run of a verb that needs the program. The options of every
// command have been read before do is called.
func (a *App) Run(do func(context.Context, *Invocation) error) func(context.Context, *cmdline.Invocation) error {
	return func(ctx context.Context, parsed *cmdline.Invocation) error {
		i := &Invocation{App: a, Invocation: parsed}
		if err := i.readGlobals(); err != nil {
			return err
		}
		return do(ctx, i)
	}
}

// Get is cmdline.Get.
func Get[T any](i *Invocation, name string, parse func(string) (T, error)) T {
	return cmdline.Get(i.Invocation, name, parse)
}

// GetMany is cmdline.GetMany.
func GetMany[T any](i *Invocation, name string, parse func(string) (T, error)) []T {
	return cmdline.GetMany(i.Invocation, name, parse)
}

// readGlobals reads the options of every command: the directories, and how to talk.
func (i *Invocation) readGlobals() error {
	i.Place = runtime.Options{
		Root:          Setting(i, "root", "CROFT_ROOT", values.Directory),
		Run:           Setting(i, "run-dir", "CROFT_RUN_DIR", values.Directory),
		Config:        Setting(i, "config-dir", "CROFT_CONFIG_DIR", values.Directory),
		CgroupManager: Setting(i, "cgroup-manager", "CROFT_CGROUP_MANAGER", values.CgroupManager),
		LockTimeout:   Get(i, "lock-timeout", values.Duration),
		Warn:          i.Screen.Warn,
		Command:       i.command(),
		CommandLine:   i.CommandLine(i.Line...),
	}
	i.Place.Progress = func(u runtime.Update) { i.Screen.Progress(display.Stage(u)) }
	i.App.Debug = i.Is("debug")
	if i.App.Debug {
		i.Place.Debug = i.Screen.Log("debug: ")
	}
	return i.Err
}

// CommandLine returns a command line of croft, quoted for a shell.
func (a *App) CommandLine(words ...string) string {
	return shellescape.QuoteCommand(append([]string{"croft"}, words...))
}

// Manager returns the Manager for this command. All words and options must have
// been checked before.
func (i *Invocation) Manager() (Manager, error) {
	if i.Err != nil {
		return nil, i.Err
	}
	place := i.Place
	place.Query, place.KeepHostLimits = i.Verb.Query, i.keepLimits
	return i.Connect(place)
}

// Setting returns the value of the option, or else of the environment. Zero
// leaves the choice to the runtime. An empty variable counts as missing.
func Setting[T any](i *Invocation, name, env string, parse func(string) (T, error)) T {
	text := i.Getenv(env)
	if i.Has(name) || text == "" {
		return Get(i, name, parse)
	}
	value, err := parse(text)
	if err != nil && i.Err == nil {
		i.Err = UsageError("%s: %w", env, err)
	}
	return value
}

// command returns the text that other commands print when they find the VPS
// busy: "croft start web". It leaves out the words of a command that runs
// inside: they are private.
func (i *Invocation) command() string {
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
