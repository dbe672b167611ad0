package cli

import (
	"context"
	"syscall"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/signame"
	"croft/internal/vps"
	"croft/runtime"
)

// waitOption is --wait of the verbs that start a VPS.
func waitOption(what string) cmdline.Option {
	return cmdline.Option{
		Name: "wait", Placeholder: "booted|network", Implied: "booted", Choices: []string{"booted", "network"},
		Usage: what + " when the VPS has booted, or also its network answers (default: booted)",
	}
}

func ifExistsOption() cmdline.Option {
	return cmdline.Option{Name: "if-exists", Usage: "ignore VPSs that do not exist"}
}

func startVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "start", Group: command.GroupLife, Args: "NAME... | --all", Words: command.StoppedNames,
		Summary:  "start VPSs",
		Examples: []string{"croft start web db", "croft start --wait=network web"},
		About: `Returns when the init of the VPS runs, or with --wait when the VPS has booted and
its first-boot script, if it has one, has ended. A VPS that is running already is an
error and is left as it is. A VPS with a checkpoint continues its processes.`,
		Options: []cmdline.Option{
			waitOption("return"),
			{Name: "timeout", Placeholder: "TIME", Usage: "time limit of --wait (default: 90s)"},
			{Name: "cold", Usage: "boot, and remove the checkpoint of the VPS"},
			command.AllHereOption("start"),
		},
		Synonyms: []string{"boot", "up"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := runtime.StartOptions{Wait: command.Get(i, "wait", values.Wait), Timeout: command.Get(i, "timeout", values.Timeout), Cold: i.Is("cold")}
			i.OnlyWith("timeout", "wait")
			i.OnlyHere = true
			return command.ForEachAtOnce(ctx, i, command.StartsAtOnce(), "start", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Start(ctx, name, o)
			})
		}),
	}
}

func stopVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "stop", Harmful: true, Group: command.GroupLife, Args: "NAME... | --all", Words: command.ActiveNames,
		Summary:  "shut down VPSs",
		Examples: []string{"croft stop web db", "croft stop --timeout 10 web"},
		About: `Asks the init of the VPS to shut down. A VPS that has not ended after the timeout
is killed. Stopping a stopped VPS succeeds.`,
		Options:  append(stopOptions(), ifExistsOption(), command.AllOption("stop")),
		Synonyms: []string{"halt", "shutdown", "poweroff", "down"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := readStopOptions(i)
			o.IfExists = i.Is("if-exists")
			return command.ForEachAtOnce(ctx, i, command.StopsAtOnce, "stop", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Stop(ctx, name, o)
			})
		}),
	}
}

// stopOptions returns the options for stopping a VPS.
func stopOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "timeout", Short: "t", Placeholder: "TIME", Usage: "time to shut down before it is killed (default: its --stop-timeout)"},
		{Name: "fast", Usage: "kill it at once"},
	}
}

func readStopOptions(i *command.Invocation) runtime.StopOptions {
	i.NotBoth("timeout", "fast")
	return runtime.StopOptions{Timeout: command.Get(i, "timeout", values.Timeout), Fast: i.Is("fast")}
}

func restartVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "restart", Harmful: true, Group: command.GroupLife, Args: "NAME... | --all", Words: command.VPSNames,
		Summary:  "shut down VPSs and start them again",
		Examples: []string{"croft restart web", "croft restart --fast --wait web"},
		About: `Settings that need a restart take effect. A stopped VPS is started. If a running
one could not start again, for example because the source of a mount or a device
is missing, it is not stopped.`,
		Options: append(stopOptions(), waitOption("return"),
			cmdline.Option{Name: "wait-timeout", Placeholder: "TIME", Usage: "time limit of --wait (default: 90s)"}, command.AllHereOption("restart")),
		Synonyms: []string{"reboot"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			stop := readStopOptions(i)
			start := runtime.StartOptions{Wait: command.Get(i, "wait", values.Wait), Timeout: command.Get(i, "wait-timeout", values.Timeout)}
			i.OnlyWith("wait-timeout", "wait")
			i.OnlyHere = true
			return command.ForEachAtOnce(ctx, i, command.StartsAtOnce(), "restart", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Restart(ctx, name, stop, start)
			})
		}),
	}
}

func killVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "kill", Harmful: true, Group: command.GroupLife, Args: "NAME... | --all", Words: command.ActiveNames,
		Summary:  "kill VPSs, or send a signal to their init",
		Examples: []string{"croft kill web", "croft kill --signal HUP web"},
		About: `Without --signal every process of the VPS is killed at once, as if its power
had been cut. Any other signal goes to its init, which may ignore it.`,
		Options: []cmdline.Option{
			{Name: "signal", Short: "s", Placeholder: "SIGNAL", Usage: "signal to send: TERM, SIGHUP, 15, RTMIN+4; -9 and -KILL work too (default: KILL)", Choices: values.SignalNames()},
			command.AllOption("kill"),
		},
		Dashed: "signal", IsDashed: values.IsSignal,
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			sig := command.Get(i, "signal", signame.Parse)
			if !i.Has("signal") {
				sig = syscall.SIGKILL
			}
			return command.ForEachAtOnce(ctx, i, command.StopsAtOnce, "kill", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Kill(ctx, name, sig)
			})
		}),
	}
}

func pauseVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "pause", Group: command.GroupLife, Args: "NAME... | --all", Words: command.RunningNames,
		Summary:  "freeze all processes of VPSs",
		Examples: []string{"croft pause web"},
		About:    `The processes use no CPU time but keep their memory. Pausing a paused VPS succeeds.`,
		Options:  []cmdline.Option{command.AllOption("pause")},
		Synonyms: []string{"freeze", "suspend"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.ForEach(ctx, i, "pause", func(ctx context.Context, m command.Manager, name vps.Name) error { return m.Pause(ctx, name) })
		}),
	}
}

func resumeVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "resume", Group: command.GroupLife, Args: "NAME... | --all", Words: command.PausedNames,
		Summary:  "resume paused VPSs",
		Examples: []string{"croft resume web"},
		About:    `Resuming a VPS that is not paused succeeds.`,
		Options:  []cmdline.Option{command.AllOption("resume")},
		Synonyms: []string{"unpause", "thaw", "unfreeze"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.ForEach(ctx, i, "resume", func(ctx context.Context, m command.Manager, name vps.Name) error { return m.Resume(ctx, name) })
		}),
	}
}

func destroyVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "destroy", Harmful: true, Group: command.GroupLife, Args: "NAME... | --all", Words: command.VPSNames,
		Summary:  "remove VPSs and all their files",
		Examples: []string{"croft destroy web", "croft destroy --force --if-exists web db", "croft destroy --keep 7d web"},
		About: `croft does not ask for confirmation. A destroyed VPS can be restored only if it was
kept: "croft trash restore NAME" does that until the time of --keep is over. A VPS
of "run --rm" is never kept. A running VPS is destroyed only with --force. A
protected VPS is an error and is left as it is ("croft set NAME --protect no").`,
		Options: []cmdline.Option{
			{Name: "force", Short: "f", Usage: "kill a running VPS first"},
			keepOption(),
			ifExistsOption(),
			command.AllOption("destroy"),
		},
		Aliases:  []string{"rm"},
		Synonyms: []string{"remove", "delete", "del"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := runtime.DestroyOptions{Force: i.Is("force"), IfExists: i.Is("if-exists"), Keep: readKeep(i)}
			return command.ForEachAtOnce(ctx, i, command.StopsAtOnce, "destroy", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Destroy(ctx, name, o)
			})
		}),
	}
}
