// Package confine runs the command of a build in namespaces of its own, with what it may see
// of the host.
package confine

import (
	"context"
	"os/exec"
	"syscall"
)

// IDs is the number of ids in a build's user namespace.
const IDs = 65536

// await has a build wait until croft has limited what it takes of the host.
const await = `while read -r go_on; do :; done; exec </dev/null
`

// Command returns the command that runs script with /bin/sh in namespaces of its own, with the
// variables env. Ids of the user namespace are the host's from first on. The command is the first process of
// its pid namespace, so killing it ends all its processes. The kernel kills it
// when the thread that has started it ends: start it with Sandbox.Start. It begins when its
// standard input ends.
func Command(ctx context.Context, script string, env []string, first uint32) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-eu", "-c", await+script)
	cmd.Dir = "/"
	cmd.Env = env
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(first), Size: IDs}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
		Setsid:     true, Pdeathsig: syscall.SIGKILL,
	}
	return cmd
}
