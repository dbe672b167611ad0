package oci

import "croft/cli/cmdline"

// Table returns the table of this command line, for those who document it.
func Table() *cmdline.Verb { return (&program{name: Name}).table() }

// table returns the table of the command line: the options of all verbs, and
// the verbs in the order in which help lists them.
func (p *program) table() *cmdline.Verb {
	return &cmdline.Verb{
		Name: p.name, Style: cmdline.GoFlags, Options: globalOptions(),
		Verbs: []*cmdline.Verb{
			p.createVerb(), p.startVerb(), p.runVerb(), p.stateVerb(), p.killVerb(), p.deleteVerb(),
			p.execVerb(), p.psVerb(), p.pauseVerb(), p.resumeVerb(), p.updateVerb(), p.eventsVerb(), p.listVerb(),
			p.checkpointVerb(), p.restoreVerb(), p.specVerb(), p.featuresVerb(),
		},
	}
}

func globalOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "root", Placeholder: "DIR", Usage: "root directory of container state (default: /run/croft-oci)"},
		{Name: "log", Placeholder: "FILE", Usage: "file for messages (default: /dev/stderr)"},
		{Name: "log-format", Placeholder: "FORMAT", Usage: "format of messages: text or json (default: text)"},
		{Name: "debug", Usage: "print debug messages"},
		{
			Name:  "systemd-cgroup",
			Usage: `let systemd make the cgroups; cgroupsPath is "slice:prefix:name", for example "system.slice:croft:434234"`,
		},
		{Name: "rootless", Placeholder: "WHETHER", Usage: "ignore cgroup permission errors: true, false or auto (default: auto)"},
		{Name: "criu", Placeholder: "FILE", Usage: "criu program (default: the first in $PATH)"},
		{Name: "version", Short: "v", Usage: "print the version"},
	}
}

// Options of several verbs.

func bundleOption() cmdline.Option {
	return cmdline.Option{Name: "bundle", Short: "b", Placeholder: "DIR", Usage: "directory of the bundle, with config.json (default: the current directory)"}
}

func consoleSocketOption() cmdline.Option {
	return cmdline.Option{Name: "console-socket", Placeholder: "SOCKET", Usage: "listening Unix socket that receives the descriptor of the terminal master"}
}

func pidfdSocketOption() cmdline.Option {
	return cmdline.Option{Name: "pidfd-socket", Placeholder: "SOCKET", Usage: "listening Unix socket that receives a descriptor of the process"}
}

func pidFileOption() cmdline.Option {
	return cmdline.Option{Name: "pid-file", Placeholder: "FILE", Usage: "file to write the process id to"}
}

func preserveOption() cmdline.Option {
	return cmdline.Option{Name: "preserve-fds", Placeholder: "N", Usage: "pass N additional descriptors (stdio + $LISTEN_FDS + N in total)"}
}

func detachOption() cmdline.Option {
	return cmdline.Option{Name: "detach", Short: "d", Usage: "return when the process is running"}
}

func subreaperOption() cmdline.Option {
	return cmdline.Option{Name: "no-subreaper", Usage: "do not reap processes that lose their parents"}
}

func noPivotOption() cmdline.Option {
	return cmdline.Option{Name: "no-pivot", Usage: "do not use pivot_root(2), for a root filesystem on a ramdisk"}
}

func noKeyringOption() cmdline.Option {
	return cmdline.Option{Name: "no-new-keyring", Usage: "keep the session keyring of the caller"}
}

const idArg = "<container-id>"
