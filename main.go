// Croft runs virtual private servers out of Linux containers.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // joins namespaces before Go's runtime starts
	"golang.org/x/sys/unix"

	"croft/cli"
	"croft/cli/oci"
	"croft/internal/trace"
	"croft/runtime"
	"croft/runtime/sysctls"
)

// gcPercent has the collector begin at 16 MiB instead of 4: a command ends soon,
// and with thousands of VPSs it would be collected several times before.
const gcPercent = 400

func main() {
	if startedByLibcontainer() { // by whatever name
		libcontainer.Init()
	}
	// An OCI runtime's containers have their caller's umask unless their bundle
	// sets one. Everything else that croft makes has the modes that it says,
	// except files that the user asks for, for which cli keeps the umask.
	if len(os.Args) > 1 && os.Args[1] == "oci" {
		os.Exit(oci.Main(os.Args[1:], cli.Version))
	}
	if oci.Called(os.Args[0]) {
		os.Exit(oci.Main(os.Args, cli.Version))
	}
	if err := trace.Begin(strings.Join(os.Args[:min(len(os.Args), 3)], " ")); err != nil {
		fmt.Fprintf(os.Stderr, "croft: warning: this command writes no trace: %v\n", err)
	}
	debug.SetGCPercent(gcPercent)
	umask := unix.Umask(0o022)
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case runtime.MonitorCommand:
			os.Exit(runtime.Monitor(os.Args[2:]))
		case sysctls.Command:
			os.Exit(sysctls.Main(os.Args[2:]))
		case runtime.EmptyTrashCommand:
			os.Exit(runtime.EmptyTrash(os.Args[2:]))
		}
	}
	os.Exit(cli.Main(os.Args, umask))
}

// startedByLibcontainer reports whether libcontainer has executed this binary
// as the first process of a container: it then names the pipe that the
// container's configuration comes through (libcontainer 1.5, nsexec.c). A
// person who types "croft init" gets the command of that name.
func startedByLibcontainer() bool {
	return len(os.Args) == 2 && os.Args[1] == "init" && os.Getenv("_LIBCONTAINER_INITPIPE") != ""
}
