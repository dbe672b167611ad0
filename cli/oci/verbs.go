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
		{names: []string{"root"}, placeholder: "DIR", usage: "root directory for storage of container state (/run/croft-oci)"},
		{names: []string{"log"}, placeholder: "FILE", usage: "the file to write messages to (default is '/dev/stderr')"},
		{names: []string{"log-format"}, placeholder: "FORMAT", usage: "the format of messages ('text' (default), or 'json')"},
		{names: []string{"debug"}, usage: "say what is done"},
		{
			names: []string{"systemd-cgroup"},
			usage: `systemd makes the cgroups: cgroupsPath is of the form "slice:prefix:name", as "system.slice:croft:434234"`,
		},
		{names: []string{"rootless"}, placeholder: "WHETHER", usage: "ignore cgroup permission errors ('true', 'false', or 'auto')"},
		{names: []string{"criu"}, placeholder: "FILE", usage: "the criu program (default is the first in $PATH)"},
		{names: []string{"version", "v"}, usage: "print the version"},
	}
}

// The options that several verbs have.

func bundleOption() option {
	return option{names: []string{"bundle", "b"}, placeholder: "DIR", usage: "the bundle's directory, where its config.json is (default is the current one)"}
}

func consoleSocketOption() option {
	return option{names: []string{"console-socket"}, placeholder: "SOCKET", usage: "a listening Unix socket that takes the descriptor of the terminal's master"}
}

func pidfdSocketOption() option {
	return option{names: []string{"pidfd-socket"}, placeholder: "SOCKET", usage: "a listening Unix socket that takes a descriptor of the process"}
}

func pidFileOption() option {
	return option{names: []string{"pid-file"}, placeholder: "FILE", usage: "the file to write the process's id to"}
}

func preserveOption() option {
	return option{names: []string{"preserve-fds"}, placeholder: "N", usage: "pass N additional descriptors on (stdio + $LISTEN_FDS + N in all)"}
}

func detachOption() option {
	return option{names: []string{"detach", "d"}, usage: "return when the process runs"}
}

func subreaperOption() option {
	return option{names: []string{"no-subreaper"}, usage: "do not reap processes that lose their parents"}
}

func noPivotOption() option {
	return option{names: []string{"no-pivot"}, usage: "do not use pivot_root(2), for a root filesystem on a ramdisk"}
}

func noKeyringOption() option {
	return option{names: []string{"no-new-keyring"}, usage: "keep the caller's session keyring"}
}

const idArg = "<container-id>"
