package template

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"croft/internal/fail"
)

// userNamespace makes a user namespace in which 0..size-1 are the host's ids
// from first on, and returns it open. Nothing runs in it.
//
// The kernel has no call for that: a namespace is made with a process, whose
// maps are written then. So a child is cloned into one, stopped by ptrace at
// its exec before an instruction of it has run, and killed once the namespace
// is open.
func userNamespace(first, size uint32) (*os.File, error) {
	// ptrace belongs to a thread, and so does its end by PTRACE_O_EXITKILL.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(first), Size: int(size)}}
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
		Ptrace: true, Pdeathsig: syscall.SIGKILL,
	}
	cmd.Env = []string{}
	if err := cmd.Start(); err != nil {
		return nil, fail.New(fail.Host, "make a user namespace for ids %d to %d: %w", first, uint64(first)+uint64(size)-1, err).
			WithHint("sysctl user.max_user_namespaces")
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	cmd.Process.Kill()
	cmd.Wait() // reports the kill
	if err != nil {
		return nil, fmt.Errorf("open a user namespace: %w", err)
	}
	return ns, nil
}
