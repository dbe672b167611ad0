package oci

// verbs are all commands, in the order in which help lists them.
func verbs() []*verb {
	return []*verb{
		createVerb(), startVerb(), runVerb(), stateVerb(), killVerb(), deleteVerb(),
		execVerb(), psVerb(), pauseVerb(), resumeVerb(), updateVerb(), eventsVerb(), listVerb(),
		checkpointVerb(), restoreVerb(), specVerb(), featuresVerb(),
	}
}

func globalOptions() []option {
	return []option{
		{names: []string{"root"}, placeholder: "DIR", usage: "root directory of container state (default: /run/croft-oci)"},
		{names: []string{"log"}, placeholder: "FILE", usage: "file for messages (default: /dev/stderr)"},
		{names: []string{"log-format"}, placeholder: "FORMAT", usage: "format of messages: text or json (default: text)"},
		{names: []string{"debug"}, usage: "print debug messages"},
		{
			names: []string{"systemd-cgroup"},
			usage: `let systemd make the cgroups; cgroupsPath is "slice:prefix:name", for example "system.slice:croft:434234"`,
		},
		{names: []string{"rootless"}, placeholder: "WHETHER", usage: "ignore cgroup permission errors: true, false or auto (default: auto)"},
		{names: []string{"criu"}, placeholder: "FILE", usage: "criu program (default: the first in $PATH)"},
		{names: []string{"version", "v"}, usage: "print the version"},
	}
}

// The options that several verbs have.

func bundleOption() option {
	return option{names: []string{"bundle", "b"}, placeholder: "DIR", usage: "directory of the bundle, with config.json (default: the current directory)"}
}

func consoleSocketOption() option {
	return option{names: []string{"console-socket"}, placeholder: "SOCKET", usage: "listening Unix socket that receives the descriptor of the terminal master"}
}

func pidfdSocketOption() option {
	return option{names: []string{"pidfd-socket"}, placeholder: "SOCKET", usage: "listening Unix socket that receives a descriptor of the process"}
}

func pidFileOption() option {
	return option{names: []string{"pid-file"}, placeholder: "FILE", usage: "file to write the process id to"}
}

func preserveOption() option {
	return option{names: []string{"preserve-fds"}, placeholder: "N", usage: "pass N additional descriptors (stdio + $LISTEN_FDS + N in total)"}
}

func detachOption() option {
	return option{names: []string{"detach", "d"}, usage: "return when the process is running"}
}

func subreaperOption() option {
	return option{names: []string{"no-subreaper"}, usage: "do not reap processes that lose their parents"}
}

func noPivotOption() option {
	return option{names: []string{"no-pivot"}, usage: "do not use pivot_root(2), for a root filesystem on a ramdisk"}
}

func noKeyringOption() option {
	return option{names: []string{"no-new-keyring"}, usage: "keep the session keyring of the caller"}
}

const idArg = "<container-id>"
