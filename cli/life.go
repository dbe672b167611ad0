package cli

import (
	"context"
	"syscall"

	"croft/cli/cmdline"
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

func (a *app) startVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "start", Group: groupLife, Args: "NAME... | --all", Words: stoppedNames,
		Summary:  "start VPSs",
		Examples: []string{"croft start web db", "croft start --wait=network web"},
		About: `Returns when the init of the VPS runs, or with --wait when the VPS has booted and
its first-boot script, if it has one, has ended. A VPS that is running already is an
error and is left as it is.`,
		Options: []cmdline.Option{
			waitOption("return"),
			{Name: "timeout", Placeholder: "TIME", Usage: "time limit of --wait (default: 90s)"},
			allOption("start"),
		},
		Synonyms: []string{"boot", "up"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o := runtime.StartOptions{Wait: get(i, "wait", values.Wait), Timeout: get(i, "timeout", values.Timeout)}
			i.OnlyWith("timeout", "wait")
			return forEachAtOnce(ctx, i, startsAtOnce(), "start", func(ctx context.Context, m Manager, name vps.Name) error {
				return m.Start(ctx, name, o)
			})
		}),
	}
}

func (a *app) stopVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "stop", Harmful: true, Group: groupLife, Args: "NAME... | --all", Words: activeNames,
		Summary:  "shut down VPSs",
		Examples: []string{"croft stop web db", "croft stop --timeout 10 web"},
		About: `Asks the init of the VPS to shut down. A VPS that has not ended after the timeout
is killed. Stopping a stopped VPS succeeds.`,
		Options:  append(stopOptions(), ifExistsOption(), allOption("stop")),
		Synonyms: []string{"halt", "shutdown", "poweroff", "down"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o := readStopOptions(i)
			o.IfExists = i.Is("if-exists")
			return forEachAtOnce(ctx, i, stopsAtOnce, "stop", func(ctx context.Context, m Manager, name vps.Name) error {
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

func readStopOptions(i *invocation) runtime.StopOptions {
	i.NotBoth("timeout", "fast")
	return runtime.StopOptions{Timeout: get(i, "timeout", values.Timeout), Fast: i.Is("fast")}
}

func (a *app) restartVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "restart", Harmful: true, Group: groupLife, Args: "NAME... | --all", Words: vpsNames,
		Summary:  "shut down VPSs and start them again",
		Examples: []string{"croft restart web", "croft restart --fast --wait web"},
		About: `Settings that need a restart take effect. A stopped VPS is started. If a running
one could not start again, for example because the source of a mount or a device
is missing, it is not stopped.`,
		Options: append(stopOptions(), waitOption("return"),
			cmdline.Option{Name: "wait-timeout", Placeholder: "TIME", Usage: "time limit of --wait (default: 90s)"}, allOption("restart")),
		Synonyms: []string{"reboot"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			stop := readStopOptions(i)
			start := runtime.StartOptions{Wait: get(i, "wait", values.Wait), Timeout: get(i, "wait-timeout", values.Timeout)}
			i.OnlyWith("wait-timeout", "wait")
			return forEachAtOnce(ctx, i, startsAtOnce(), "restart", func(ctx context.Context, m Manager, name vps.Name) error {
				return m.Restart(ctx, name, stop, start)
			})
		}),
	}
}

func (a *app) killVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "kill", Harmful: true, Group: groupLife, Args: "NAME... | --all", Words: activeNames,
		Summary:  "kill VPSs, or send a signal to their init",
		Examples: []string{"croft kill web", "croft kill --signal HUP web"},
		About: `Without --signal every process of the VPS is killed at once, as if its power
had been cut. Any other signal goes to its init, which may ignore it.`,
		Options: []cmdline.Option{
			{Name: "signal", Short: "s", Placeholder: "SIGNAL", Usage: "signal to send: TERM, SIGHUP, 15, RTMIN+4; -9 and -KILL work too (default: KILL)", Choices: values.SignalNames()},
			allOption("kill"),
		},
		Dashed: "signal", IsDashed: values.IsSignal,
		Run: a.run(func(ctx context.Context, i *invocation) error {
			sig := get(i, "signal", signame.Parse)
			if !i.Has("signal") {
				sig = syscall.SIGKILL
			}
			return forEachAtOnce(ctx, i, stopsAtOnce, "kill", func(ctx context.Context, m Manager, name vps.Name) error {
				return m.Kill(ctx, name, sig)
			})
		}),
	}
}

func (a *app) pauseVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "pause", Group: groupLife, Args: "NAME... | --all", Words: runningNames,
		Summary:  "freeze all processes of VPSs",
		Examples: []string{"croft pause web"},
		About:    `The processes use no CPU time but keep their memory. Pausing a paused VPS succeeds.`,
		Options:  []cmdline.Option{allOption("pause")},
		Synonyms: []string{"freeze", "suspend"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "pause", func(ctx context.Context, m Manager, name vps.Name) error { return m.Pause(ctx, name) })
		}),
	}
}

func (a *app) resumeVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "resume", Group: groupLife, Args: "NAME... | --all", Words: pausedNames,
		Summary:  "resume paused VPSs",
		Examples: []string{"croft resume web"},
		About:    `Resuming a VPS that is not paused succeeds.`,
		Options:  []cmdline.Option{allOption("resume")},
		Synonyms: []string{"unpause", "thaw", "unfreeze"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "resume", func(ctx context.Context, m Manager, name vps.Name) error { return m.Resume(ctx, name) })
		}),
	}
}

func (a *app) destroyVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "destroy", Harmful: true, Group: groupLife, Args: "NAME... | --all", Words: vpsNames,
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
			allOption("destroy"),
		},
		Aliases:  []string{"rm"},
		Synonyms: []string{"remove", "delete", "del"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o := runtime.DestroyOptions{Force: i.Is("force"), IfExists: i.Is("if-exists"), Keep: readKeep(i)}
			return forEachAtOnce(ctx, i, stopsAtOnce, "destroy", func(ctx context.Context, m Manager, name vps.Name) error {
				return m.Destroy(ctx, name, o)
			})
		}),
	}
}
