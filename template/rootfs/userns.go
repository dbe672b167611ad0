package rootfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"croft/internal/fail"
)

// userNamespace creates a user namespace that maps its ids 0..size-1 to the
// host's ids from first on, and returns it open. No process is in it. The caller
// closes it.
//
// The kernel has no system call for that. A new user namespace needs a process,
// whose id maps are written after it is created. So croft clones a child into the
// namespace. ptrace stops the child at its exec, before it has run an instruction.
// croft opens the namespace and kills the child.
func userNamespace(first, size uint32) (*os.File, error) {
	// A tracer is a thread, not a process; PTRACE_O_EXITKILL too acts when it ends.
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
		return nil, noNamespace(first, size, err)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	cmd.Process.Kill()
	cmd.Wait() // reports the kill
	if err != nil {
		return nil, fmt.Errorf("open a user namespace: %w", err)
	}
	return ns, nil
}

// noNamespace explains why a user namespace could not be created. The kernel's
// error tells which limit or permission is the reason.
func noNamespace(first, size uint32, err error) error {
	e := fail.New(fail.Host, "create a user namespace for ids %d to %d: %w", first, uint64(first)+uint64(size)-1, err)
	switch {
	case errors.Is(err, syscall.EMFILE):
		return e.WithHint("ulimit -n")
	case errors.Is(err, syscall.EAGAIN):
		return e.WithHint("ulimit -u")
	case errors.Is(err, syscall.EPERM): // without CAP_SETUID and CAP_SETGID, for example
		return e.WithHint("grep Cap /proc/self/status")
	}
	return e.WithHint("sysctl user.max_user_namespaces")
}
