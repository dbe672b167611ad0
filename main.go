// Croft runs virtual private servers out of Linux containers.
package main

import (
	"os"

	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // joins namespaces before Go's runtime starts

	"croft/cli"
	"croft/cli/oci"
	"croft/runtime"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "init":
			if startedByLibcontainer() {
				libcontainer.Init()
			}
		case runtime.MonitorCommand:
			os.Exit(runtime.Monitor(os.Args[2:]))
		case runtime.EmptyTrashCommand:
			os.Exit(runtime.EmptyTrash(os.Args[2:]))
		case "oci":
			os.Exit(oci.Main(os.Args[1:], cli.Version))
		}
	}
	if oci.Called(os.Args[0]) {
		os.Exit(oci.Main(os.Args, cli.Version))
	}
	os.Exit(cli.Main(os.Args))
}

// startedByLibcontainer reports whether libcontainer has executed this binary
// as the first process of a container: it then names the pipe that the
// container's configuration comes through (libcontainer 1.5, nsexec.c). A
// person who types "croft init" gets the command of that name.
func startedByLibcontainer() bool {
	return len(os.Args) == 2 && os.Getenv("_LIBCONTAINER_INITPIPE") != ""
}
