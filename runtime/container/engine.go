// Package container makes containers out of OCI bundles. It is the only
// package that knows libcontainer.
package container

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"croft/internal/trace"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/system"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Parent is the cgroup that all VPSs' cgroups are in.
const CgroupParent = "croft"

// An Engine keeps libcontainer's own files below Root, which is forgotten
// when the host reboots.
type Engine struct {
	Root    string
	Manager CgroupManager
}

// A Prepared container has an init that waits for StartInit.
type Prepared struct {
	PID     int
	Console *os.File // the master of /dev/console; the caller closes it
}

// Create makes the container id from the bundle in the working directory,
// which is where the OCI command line takes it from. Its namespaces, mounts
// and cgroups are there, its init waits for Go. What Exec runs in it has an oom_score_adj
// that is higher by oomScore than that of the init. On error nothing is left.
func (e Engine) Create(id string, spec *specs.Spec, oomScore int) (Prepared, error) {
	defer trace.Span("create the container")()
	w, err := e.createAmongOthers(id, spec, oomScore)
	if err != nil || spec.Linux.Resources.Unified["memory.low"] == "" {
		return w, err
	}
	if err := e.protect(id); err != nil {
		w.Console.Close()
		return Prepared{}, errors.Join(err, e.Delete(id))
	}
	return w, nil
}

// createAmongOthers is Create, except that the cgroup of all containers is left as it
// is.
func (e Engine) createAmongOthers(id string, spec *specs.Spec, oomScore int) (_ Prepared, err error) {
	if err := os.MkdirAll(e.Root, 0o700); err != nil {
		return Prepared{}, fmt.Errorf("make state directory: %w", err)
	}
	unlock, err := e.keepParents()
	if err != nil {
		return Prepared{}, err
	}
	defer unlock()
	var w Prepared
	err = inOwnNamespace(spec, func(spec *specs.Spec) error {
		w, err = e.create(id, spec, oomScore, false)
		if keysUsedUp(err) {
			err = withOwnKeyring(func() error {
				w, err = e.create(id, spec, oomScore, true)
				return err
			})
		}
		return err
	})
	return w, err
}

// create is Create in namespaces that are ready. With keepKeyring init has the
// session keyring of the calling thread.
func (e Engine) create(id string, spec *specs.Spec, oomScore int, keepKeyring bool) (_ Prepared, err error) {
	c, err := Make(e.Root, id, withOOMScore(spec, oomScore), MakeOptions{
		Systemd: e.Manager.Resolve() == Systemd, properties: append(ioWeight(spec.Linux.Resources.Unified), outlivesService()),
		NoNewKeyring: keepKeyring,
	})
	if err != nil {
		return Prepared{}, fmt.Errorf("make container: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Delete())
		}
	}()
	ours, theirs, err := ConsoleSocket()
	if err != nil {
		return Prepared{}, err
	}
	defer ours.Close()
	process, err := withLimits(spec.Process)
	if err != nil {
		theirs.Close()
		return Prepared{}, err
	}
	init, err := c.Start(process, Streams{Console: theirs})
	theirs.Close()
	if err != nil {
		return Prepared{}, fmt.Errorf("make container: %w", err)
	}
	if oomScore != 0 {
		lowerOOMScore(init.PID, spec)
	}
	console, err := ReceiveConsole(ours)
	if err != nil {
		return Prepared{}, err
	}
	if err := delegate(c.lc); err != nil {
		console.Close()
		return Prepared{}, err
	}
	return Prepared{PID: init.PID, Console: console}, nil
}

// Go lets the init of a container that Create made run.
func (e Engine) StartInit(id string) error {
	defer trace.Span("start init")()
	c, err := e.load(id)
	if err != nil {
		return err
	}
	if err := c.StartInit(); err != nil {
		return fmt.Errorf("run init: %w", err)
	}
	return nil
}

// Delete ends every process of the container and removes from the host its
// cgroups, libcontainer's files, and the cgroup of a monitor that was killed, and those
// of other monitors that have ended.
// It also removes the remains of a killed Create, and of a container whose
// state is corrupt. No-op if nothing has the name.
func (e Engine) Delete(id string) error {
	defer trace.Span("delete the container")()
	err := errors.Join(e.deleteContainer(id), e.removeMonitorCgroup(id))
	e.removeStaleCgroups()
	return err
}

func (e Engine) deleteContainer(id string) error {
	c, err := e.load(id)
	if err != nil {
		return e.deleteRemains(id)
	}
	dirs, err := cgroupDirs(c.lc)
	if err != nil {
		return err
	}
	if err := c.Delete(); err != nil {
		return fmt.Errorf("remove container: %w", err)
	}
	return errors.Join(e.removeParents(dirs), e.protectParent(dirs...))
}

// deleteRemains is Delete without a state that can be read.
func (e Engine) deleteRemains(id string) error {
	r, err := e.remains(id)
	if err != nil {
		return err
	}
	dirs := r.cgroupDirs()
	if len(dirs) == 0 && !r.ours() {
		return nil
	}
	if err := r.remove(); err != nil {
		return err
	}
	return e.removeParents(dirs)
}

// Signal sends sig to the container's init. No-op if that has ended.
func (e Engine) Signal(id string, sig syscall.Signal) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	if err := c.Signal(sig); err != nil && !errors.Is(err, ErrNotRunning) {
		return fmt.Errorf("signal init: %w", err)
	}
	return nil
}

// Kill sends SIGKILL to every process of the container, also if the container's
// state is missing or corrupt. No-op without a process.
func (e Engine) Kill(id string) error {
	if c, err := e.load(id); err == nil {
		if err := c.kill(); err != nil {
			return fmt.Errorf("kill processes: %w", err)
		}
		return nil
	}
	r, err := e.remains(id)
	if err != nil || !r.ours() {
		return err
	}
	return r.kill()
}

// Freeze stops every process of the container where it is; a frozen one is
// success.
func (e Engine) Freeze(id string) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	if status, err := c.lc.Status(); err == nil && status == libcontainer.Paused {
		return nil
	}
	if err := c.Pause(); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	return nil
}

// Thaw resumes a frozen container. No-op if it is not frozen.
func (e Engine) Thaw(id string) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	if err := c.Resume(); err != nil && !errors.Is(err, libcontainer.ErrNotPaused) {
		return fmt.Errorf("thaw: %w", err)
	}
	return nil
}

// Frozen reports whether the container is frozen; an absent one is not.
func (e Engine) Frozen(id string) (bool, error) {
	c, err := e.load(id)
	if errors.Is(err, ErrAbsent) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	status, err := c.lc.Status()
	if err != nil {
		return false, fmt.Errorf("ask container's status: %w", err)
	}
	return status == libcontainer.Paused, nil
}

// Init is the pid, on the host, of the container's init, which may have ended.
// An absent container is ErrAbsent.
func (e Engine) Init(id string) (pid int, err error) {
	c, err := e.load(id)
	if err != nil {
		return 0, err
	}
	s, err := c.lc.State()
	if err != nil {
		return 0, fmt.Errorf("read container's state: %w", err)
	}
	if p, err := system.Stat(s.InitProcessPid); err != nil || p.StartTime != s.InitProcessStartTime {
		return 0, ErrNotRunning
	}
	return s.InitProcessPid, nil
}

// OutOfMemory reports whether the kernel has killed a process of the container
// because it ran out of memory. An absent container is false.
func (e Engine) OutOfMemory(id string) bool {
	r, err := e.remains(id)
	if err != nil {
		return false
	}
	kills, err := r.cgroups.OOMKillCount()
	return err == nil && kills > 0
}

// Processes lists the pids, on the host, of all processes of the container.
func (e Engine) Processes(id string) ([]int, error) {
	c, err := e.load(id)
	if err != nil {
		return nil, err
	}
	pids, err := c.Pids()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	return pids, nil
}

func (e Engine) load(id string) (*Container, error) {
	c, err := Load(e.Root, id)
	if err != nil && !errors.Is(err, ErrAbsent) {
		return nil, fmt.Errorf("load container: %w", err)
	}
	return c, err
}
