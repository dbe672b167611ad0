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

// noNamespace is why a user namespace could not be made: the kernel's answer says
// which limit or right it is.
func noNamespace(first, size uint32, err error) error {
	e := fail.New(fail.Host, "make a user namespace for ids %d to %d: %w", first, uint64(first)+uint64(size)-1, err)
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
