package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// inOwnNamespace calls do with a copy of spec whose container joins a user
// namespace that belongs to its own root, and not to the host's. A spec without
// a user namespace of its own is passed as it is.
//
// The kernel counts what the processes of a user namespace use, for the user
// who created it (ns->ucounts in kernel/user_namespace.c): inotify instances
// and watches, fanotify groups, namespaces, pending signals, message queues,
// locked memory. If the host's root created the namespaces of all VPSs, they
// would share one account, with the host's own services.
//
// The owner of a namespace has all capabilities in it (user_namespaces(7)). That
// is an id which the VPS alone has. It gets no capability on the host.
func inOwnNamespace(spec *specs.Spec, do func(*specs.Spec) error) error {
	i := userNamespaceOf(spec)
	if i < 0 || spec.Linux.Namespaces[i].Path != "" || len(spec.Linux.UIDMappings) == 0 {
		return do(spec)
	}
	if err := boundNamespace(spec.Process); err != nil {
		return err
	}
	ns, err := createUserNamespace(spec.Linux.UIDMappings, spec.Linux.GIDMappings)
	if err != nil {
		return err
	}
	defer ns.close()
	joining, linux := *spec, *spec.Linux
	linux.Namespaces = append([]specs.LinuxNamespace{}, linux.Namespaces...)
	linux.Namespaces[i].Path = ns.path
	linux.UIDMappings, linux.GIDMappings = nil, nil // libcontainer reads those of the namespace
	joining.Linux = &linux
	return do(&joining)
}

// boundNamespace sets limits of this process that become bounds of the whole
// namespace which it creates (set_userns_rlimit_max in kernel/user_namespace.c):
// to the hard limits that p has.
func boundNamespace(p *specs.Process) error {
	for _, r := range p.Rlimits {
		switch r.Type {
		case "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_SIGPENDING":
		default:
			continue
		}
		number, err := rlimit(r.Type)
		if err != nil {
			return err
		}
		if err := unix.Setrlimit(number, &unix.Rlimit{Cur: r.Hard, Max: r.Hard}); err != nil {
			return fmt.Errorf("set %s to %d: %w", r.Type, r.Hard, err)
		}
	}
	return nil
}

func userNamespaceOf(spec *specs.Spec) int {
	for i, ns := range spec.Linux.Namespaces {
		if ns.Type == specs.UserNamespace {
			return i
		}
	}
	return -1
}

// A userNamespace is one in which only a process is that has not run yet.
type userNamespace struct {
	path  string
	close func() // ends the process; the namespace stays if another process is in it
}

// createUserNamespace makes a user namespace with these mappings that belongs
// to the host's id of its root.
//
// The owner is the effective user of the thread that clones. So that thread
// changes its own, keeps its capabilities to write the mappings, and ends
// afterwards. The process that it clones is stopped by ptrace at its exec,
// before an instruction of the program has run.
func createUserNamespace(uids, gids []specs.LinuxIDMapping) (userNamespace, error) {
	created, end, ended := make(chan error, 1), make(chan struct{}), make(chan struct{})
	var path string
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the thread is not to be used again
		process, err := startInNamespace(uids, gids)
		if err != nil {
			created <- fmt.Errorf("create user namespace: %w", err)
			return
		}
		path = fmt.Sprintf("/proc/%d/ns/user", process.Pid)
		created <- nil
		<-end // ptrace(2) ends with the thread that began it
		_ = process.Kill()
		_, _ = process.Wait()
	}()
	if err := <-created; err != nil {
		return userNamespace{}, err
	}
	return userNamespace{path: path, close: func() { close(end); <-ended }}, nil
}

func startInNamespace(uids, gids []specs.LinuxIDMapping) (*os.Process, error) {
	if err := becomeEffectively(rootOf(uids), rootOf(gids)); err != nil {
		return nil, err
	}
	attr := &os.ProcAttr{Env: []string{}, Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: mappings(uids), GidMappings: mappings(gids), GidMappingsEnableSetgroups: true,
		Ptrace: true, Pdeathsig: unix.SIGKILL,
	}}
	const self = "/proc/self/exe"
	process, err := os.StartProcess(self, []string{"croft"}, attr)
	if !errors.Is(err, unix.EACCES) {
		return process, err
	}
	// Only root may execute this croft. A copy in memory may be executed.
	memory, err := copyInMemory(self)
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	return os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", memory.Fd()), []string{"croft"}, attr)
}

func rootOf(ids []specs.LinuxIDMapping) int {
	for _, m := range ids {
		if m.ContainerID == 0 {
			return int(m.HostID)
		}
	}
	return 0
}

func mappings(ids []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	var all []syscall.SysProcIDMap
	for _, m := range ids {
		all = append(all, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	return all
}

// becomeEffectively changes the effective ids of this thread alone, and keeps
// its capabilities effective. Raw system calls: Go's functions change all
// threads.
func becomeEffectively(uid, gid int) error {
	const same = ^uintptr(0)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, same, uintptr(gid), same); errno != 0 {
		return fmt.Errorf("change effective group: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
		return fmt.Errorf("change effective user: %w", errno)
	}
	if err := unix.Capset(&header, &caps[0]); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	return nil
}

// copyInMemory returns a copy of a program that everybody may execute, open for
// reading.
func copyInMemory(program string) (*os.File, error) {
	from, err := os.Open(program)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	fd, err := unix.MemfdCreate("croft", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make file in memory: %w", err)
	}
	written := os.NewFile(uintptr(fd), "croft")
	defer written.Close() // a file that is open for writing cannot be executed
	if _, err := io.Copy(written, from); err != nil {
		return nil, err
	}
	if err := written.Chmod(0o555); err != nil {
		return nil, err
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
}
