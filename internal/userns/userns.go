// Package userns creates user namespaces in which no process is.
package userns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"croft/internal/fail"
)

// New creates a user namespace that maps size of its ids, from inside on, to the host's
// ids from first on, and returns it open. No process is in it. The caller closes it.
func New(inside, first, size uint32) (*os.File, error) {
	ids := []syscall.SysProcIDMap{{ContainerID: int(inside), HostID: int(first), Size: int(size)}}
	ns, err := namespaceOf("user", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids})
	if err != nil {
		return nil, noNamespace(fmt.Sprintf("for ids %d to %d", first, uint64(first)+uint64(size)-1), err)
	}
	return ns, nil
}

// LockMounts returns a copy of the mount namespace of the calling thread that
// belongs to a user namespace of its own. In the copy the kernel has locked the
// flags of all mounts (mount_namespaces(7), "Restrictions on mount namespaces"):
// root of a user namespace cannot make a read-only mount writable there, nor take
// away nosuid, nodev or noexec. A mount that open_tree(2) clones from the copy keeps
// its locked flags. No process is in the copy. The caller closes it.
func LockMounts() (*os.File, error) {
	ns, err := namespaceOf("mnt", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS})
	if err != nil {
		return nil, noNamespace("for mounts", err)
	}
	return ns, nil
}

// namespaceOf clones a child with the attributes, returns its namespace of the kind
// open, and ends the child.
//
// The kernel has no system call that makes a user namespace without a process in
// it: the id maps are written after the process is created. So ptrace stops the
// child at its exec, before it has run an instruction of its own.
func namespaceOf(kind string, attr *syscall.SysProcAttr) (*os.File, error) {
	// A tracer is a thread, not a process; PTRACE_O_EXITKILL too acts when it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	attr.Ptrace, attr.Pdeathsig = true, syscall.SIGKILL
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = attr
	cmd.Env = []string{}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", cmd.Process.Pid, kind))
	cmd.Process.Kill()
	cmd.Wait() // reports the kill
	return ns, err
}

// noNamespace explains why a user namespace could not be created. The kernel's
// error tells which limit or permission is the reason.
func noNamespace(what string, err error) error {
	e := fail.New(fail.Host, "create a user namespace %s: %w", what, err)
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
