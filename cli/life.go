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
		usage: what + " when it has booted, or when its network answers too",
	}
}

func ifExistsOption() option {
	return option{name: "if-exists", usage: "a VPS that does not exist is success"}
}

func startVerb() *verb {
	return &verb{
		name: "start", group: groupLife, args: "NAME... | --all", words: vpsNames,
		summary: "start VPSs",
		about: `It returns when the init of the VPS runs; with --wait when it has booted. One
that runs already is an error, and goes on undisturbed.`,
		options: []option{
			waitOption("return"),
			{name: "timeout", placeholder: "TIME", usage: "how long to wait for --wait (90s)"},
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
		name: "stop", group: groupLife, args: "NAME... | --all", words: vpsNames,
		summary: "shut VPSs down",
		about: `The VPS's own init shuts it down. One that has not ended when the timeout is
over is killed. One that is stopped already is success.`,
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
		{name: "timeout", placeholder: "TIME", usage: "how long it may take to shut down (its --stop-timeout)"},
		{name: "fast", usage: "kill it at once instead"},
	}
}

func readStopOptions(i *invocation) runtime.StopOptions {
	i.notBoth("timeout", "fast")
	return runtime.StopOptions{Timeout: get(i, "timeout", parseTimeout), Fast: i.flags.Bool("fast")}
}

func restartVerb() *verb {
	return &verb{
		name: "restart", group: groupLife, args: "NAME... | --all", words: vpsNames,
		summary: "shut VPSs down and start them again",
		about:   `What was set since it was started holds then. One that is stopped is started.`,
		options: append(stopOptions(), waitOption("return"),
			option{name: "wait-timeout", placeholder: "TIME", usage: "how long to wait for --wait (90s)"}, allOption("restart")),
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
		name: "kill", group: groupLife, args: "NAME... | --all", words: vpsNames,
		summary: "end VPSs at once, or send their init a signal",
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
		name: "pause", group: groupLife, args: "NAME... | --all", words: vpsNames,
		summary:  "stop every process of VPSs where it is",
		about:    `One that is paused already is success.`,
		options:  []option{allOption("pause")},
		synonyms: []string{"freeze", "suspend"},
		run: func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "pause", func(ctx context.Context, m Manager, name string) error { return m.Pause(ctx, name) })
		},
	}
}

func resumeVerb() *verb {
	return &verb{
		name: "resume", group: groupLife, args: "NAME... | --all", words: vpsNames,
		summary:  "let paused VPSs go on",
		about:    `One that is not paused is success.`,
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
		summary: "remove VPSs and all their files",
		about:   `There is no question and no way back. One that runs is refused without --force.`,
		options: []option{
			{name: "force", short: "f", usage: "kill one that runs first"},
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
