package recipe

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// IDs is the number of ids in a build's user namespace.
const IDs = 65536

// Command returns the command that runs j in namespaces of its own. Ids of the
// user namespace are the host's from first on. The command is the first process of
// its pid namespace, so killing it ends all its processes. The kernel kills it
// when the thread that has started it ends: start it with StartInSandbox.
func (j Job) Command(ctx context.Context, first uint32) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-eu", "-c", j.Shell)
	cmd.Dir = "/"
	cmd.Env = slices.Concat(proxies(os.Environ()), j.Env) // the last value of a variable counts
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(first), Size: IDs}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
		Setsid:     true, Pdeathsig: syscall.SIGKILL,
	}
	return cmd
}

// proxies returns the variables of env that select proxies for downloads.
func proxies(env []string) []string {
	var out []string
	for _, e := range env {
		k, _, _ := strings.Cut(e, "=")
		switch strings.ToLower(k) {
		case "http_proxy", "https_proxy", "ftp_proxy", "no_proxy":
			out = append(out, e)
		}
	}
	return out
}
