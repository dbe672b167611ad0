package cli

import (
	"context"
	"syscall"

	"croft/runtime"
)

// waitOption is --wait of the verbs that start a VPS.
func waitOption(what string) option {
	return option{
		name: "wait", placeholder: "booted|network", implied: "booted", choices: []string{"booted", "network"},
		usage: what + " when the VPS has booted, or also its network answers (default: booted)",
	}
}

func ifExistsOption() option {
	return option{name: "if-exists", usage: "ignore VPSs that do not exist"}
}

func startVerb() *verb {
	return &verb{
		name: "start", group: groupLife, args: "NAME... | --all", words: stoppedNames,
		summary:  "start VPSs",
		examples: []string{"croft start web db", "croft start --wait=network web"},
		about: `Returns when the init of the VPS runs, or with --wait when the VPS has booted. A
VPS that is running already is an error and is left as it is.`,
		options: []option{
			waitOption("return"),
			{name: "timeout", placeholder: "TIME", usage: "time limit of --wait (default: 90s)"},
			allOption("start"),
		},
		synonyms: []string{"boot", "up"},
		run: func(ctx context.Context, i *invocation) error {
			o := runtime.StartOptions{Wait: get(i, "wait", parseWait), Timeout: get(i, "timeout", parseTimeout)}
			i.onlyWith("timeout", "wait")
			return forEachAtOnce(ctx, i, startsAtOnce(), "start", func(ctx context.Context, m Manager, name string) error {
				return m.Start(ctx, name, o)
			})
		},
	}
}

func stopVerb() *verb {
	return &verb{
		name: "stop", group: groupLife, args: "NAME... | --all", words: activeNames,
		summary:  "shut down VPSs",
		examples: []string{"croft stop web db", "croft stop --timeout 10 web"},
		about: `Asks the init of the VPS to shut down. A VPS that has not ended after the timeout
is killed. Stopping a stopped VPS succeeds.`,
		options:  append(stopOptions(), ifExistsOption(), allOption("stop")),
		synonyms: []string{"halt", "shutdown", "poweroff", "down"},
		run: func(ctx context.Context, i *invocation) error {
			o := readStopOptions(i)
			o.IfExists = i.flags.Bool("if-exists")
			return forEachAtOnce(ctx, i, stopsAtOnce, "stop", func(ctx context.Context, m Manager, name string) error {
				return m.Stop(ctx, name, o)
			})
		},
	}
}

// stopOptions are those that say how a VPS is stopped.
func stopOptions() []option {
	return []option{
		{name: "timeout", short: "t", placeholder: "TIME", usage: "time to shut down before it is killed (default: its --stop-timeout)"},
		{name: "fast", usage: "kill it at once"},
	}
}

func readStopOptions(i *invocation) runtime.StopOptions {
	i.notBoth("timeout", "fast")
	return runtime.StopOptions{Timeout: get(i, "timeout", parseTimeout), Fast: i.flags.Bool("fast")}
}

func restartVerb() *verb {
	return &verb{
		name: "restart", group: groupLife, args: "NAME... | --all", words: vpsNames,
		summary:  "shut down VPSs and start them again",
		examples: []string{"croft restart web", "croft restart --fast --wait web"},
		about:    `Settings that need a restart take effect. A stopped VPS is started.`,
		options: append(stopOptions(), waitOption("return"),
			option{name: "wait-timeout", placeholder: "TIME", usage: "time limit of --wait (default: 90s)"}, allOption("restart")),
		synonyms: []string{"reboot"},
		run: func(ctx context.Context, i *invocation) error {
			stop := readStopOptions(i)
			start := runtime.StartOptions{Wait: get(i, "wait", parseWait), Timeout: get(i, "wait-timeout", parseTimeout)}
			i.onlyWith("wait-timeout", "wait")
			return forEachAtOnce(ctx, i, startsAtOnce(), "restart", func(ctx context.Context, m Manager, name string) error {
				return m.Restart(ctx, name, stop, start)
			})
		},
	}
}

func killVerb() *verb {
	return &verb{
		name: "kill", group: groupLife, args: "NAME... | --all", words: activeNames,
		summary:  "kill VPSs, or send a signal to their init",
		examples: []string{"croft kill web", "croft kill --signal HUP web"},
		about: `Without --signal every process of the VPS is killed at once, as if its power
had been cut. Any other signal goes to its init, which may ignore it.`,
		options: []option{
			{name: "signal", short: "s", placeholder: "SIGNAL", usage: "signal to send: TERM, SIGHUP, 15, RTMIN+4; -9 and -KILL work too (default: KILL)", choices: signalNames()},
			allOption("kill"),
		},
		dashed: "signal",
		run: func(ctx context.Context, i *invocation) error {
			sig := get(i, "signal", parseSignal)
			if !i.has("signal") {
				sig = syscall.SIGKILL
			}
			return forEachAtOnce(ctx, i, stopsAtOnce, "kill", func(ctx context.Context, m Manager, name string) error {
				return m.Kill(ctx, name, sig)
			})
		},
	}
}

func pauseVerb() *verb {
	return &verb{
		name: "pause", group: groupLife, args: "NAME... | --all", words: runningNames,
		summary:  "freeze all processes of VPSs",
		examples: []string{"croft pause web"},
		about:    `The processes use no CPU time but keep their memory. Pausing a paused VPS succeeds.`,
		options:  []option{allOption("pause")},
		synonyms: []string{"freeze", "suspend"},
		run: func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "pause", func(ctx context.Context, m Manager, name string) error { return m.Pause(ctx, name) })
		},
	}
}

func resumeVerb() *verb {
	return &verb{
		name: "resume", group: groupLife, args: "NAME... | --all", words: pausedNames,
		summary:  "resume paused VPSs",
		examples: []string{"croft resume web"},
		about:    `Resuming a VPS that is not paused succeeds.`,
		options:  []option{allOption("resume")},
		synonyms: []string{"unpause", "thaw", "unfreeze"},
		run: func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "resume", func(ctx context.Context, m Manager, name string) error { return m.Resume(ctx, name) })
		},
	}
}

func destroyVerb() *verb {
	return &verb{
		name: "destroy", group: groupLife, args: "NAME... | --all", words: vpsNames,
		summary:  "remove VPSs and all their files",
		examples: []string{"croft destroy web", "croft destroy --force --if-exists web db"},
		about: `croft does not ask for confirmation, and a destroyed VPS cannot be restored. A
running VPS is destroyed only with --force.`,
		options: []option{
			{name: "force", short: "f", usage: "kill a running VPS first"},
			ifExistsOption(),
			allOption("destroy"),
		},
		aliases:  []string{"rm"},
		synonyms: []string{"remove", "delete", "del"},
		run: func(ctx context.Context, i *invocation) error {
			o := runtime.DestroyOptions{Force: i.flags.Bool("force"), IfExists: i.flags.Bool("if-exists")}
			return forEachAtOnce(ctx, i, stopsAtOnce, "destroy", func(ctx context.Context, m Manager, name string) error {
				return m.Destroy(ctx, name, o)
			})
		},
	}
}
