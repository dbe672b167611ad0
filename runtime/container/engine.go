// Package container makes containers out of OCI bundles. It is the only
// package that knows libcontainer.
package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ErrAbsent is what a caller may ask for: there is no container of that name.
var ErrAbsent = errors.New("no such container")

// Parent is the cgroup that all VPSs' cgroups are in.
const Parent = "croft"

// An Engine keeps libcontainer's own files below Root, which is forgotten
// when the host reboots.
type Engine struct {
	Root    string
	Manager CgroupManager
}

// Waiting is a container that has been made and whose init waits to be let go.
type Waiting struct {
	PID     int
	Console *os.File // the master of /dev/console; the caller closes it
}

// Create makes the container id from the bundle in the working directory,
// which is where the OCI command line takes it from. Its namespaces, mounts
// and cgroups are there, its init waits for Go. On error nothing is left.
func (e Engine) Create(id string, spec *specs.Spec) (_ Waiting, err error) {
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName: id, Spec: spec, UseSystemdCgroup: e.Manager.Resolve() == Systemd,
	})
	if err != nil {
		return Waiting{}, fmt.Errorf("read bundle: %w", err)
	}
	config.Cgroups.SystemdProps = append(config.Cgroups.SystemdProps, outlivesService())
	if err := os.MkdirAll(e.Root, 0o700); err != nil {
		return Waiting{}, fmt.Errorf("make state directory: %w", err)
	}
	unlock, err := e.lockParents(unix.LOCK_SH)
	if err != nil {
		return Waiting{}, err
	}
	defer unlock()
	c, err := libcontainer.Create(e.Root, id, config)
	if err != nil {
		return Waiting{}, fmt.Errorf("make container: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.destroy(c))
		}
	}()
	init, err := newProcess(spec.Process)
	if err != nil {
		return Waiting{}, err
	}
	init.Init = true
	ours, theirs, err := consolePair()
	if err != nil {
		return Waiting{}, err
	}
	defer ours.Close()
	init.ConsoleSocket = theirs
	err = c.Start(init)
	theirs.Close()
	if err != nil {
		return Waiting{}, fmt.Errorf("make container: %w", err)
	}
	console, err := receiveConsole(ours)
	if err != nil {
		return Waiting{}, err
	}
	pid, err := init.Pid()
	if err != nil {
		console.Close()
		return Waiting{}, fmt.Errorf("find init: %w", err)
	}
	if err := delegate(c); err != nil {
		console.Close()
		return Waiting{}, err
	}
	return Waiting{PID: pid, Console: console}, nil
}

// Go lets the init of a container that Create made run.
func (e Engine) Go(id string) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	if err := c.Exec(); err != nil {
		return fmt.Errorf("run init: %w", err)
	}
	return nil
}

// Delete ends every process of the container and removes what it has on the
// host: cgroups and libcontainer's files. An absent one is success.
func (e Engine) Delete(id string) error {
	c, err := e.load(id)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		// Its state cannot be read: what carries its name still has to go.
		return errors.Join(err, os.RemoveAll(filepath.Join(e.Root, id)))
	}
	dirs, err := cgroupDirs(c)
	if err != nil {
		return err
	}
	if err := e.destroy(c); err != nil {
		return err
	}
	return e.removeParents(dirs)
}

// Signal sends sig to the container's init.
func (e Engine) Signal(id string, sig syscall.Signal) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	if err := c.Signal(sig); err != nil && !errors.Is(err, libcontainer.ErrNotRunning) {
		return fmt.Errorf("signal init: %w", err)
	}
	return nil
}

// Kill ends every process of the container at once, and returns when the
// kernel has taken note of it. A frozen one is thawed, or nothing in a cgroup
// of version 1 would die. An absent one is success.
func (e Engine) Kill(id string) error {
	c, err := e.load(id)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	return kill(c)
}

func kill(c *libcontainer.Container) error {
	if err := c.Signal(unix.SIGKILL); err != nil && !errors.Is(err, libcontainer.ErrNotRunning) {
		return fmt.Errorf("kill init: %w", err)
	}
	return nil
}

// Freeze stops every process of the container where it is; a frozen one is
// success.
func (e Engine) Freeze(id string) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	if status, err := c.Status(); err == nil && status == libcontainer.Paused {
		return nil
	}
	if err := c.Pause(); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	return nil
}

// Thaw lets a frozen container go on; one that is not frozen is success.
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
	status, err := c.Status()
	if err != nil {
		return false, fmt.Errorf("ask container's status: %w", err)
	}
	return status == libcontainer.Paused, nil
}

// Processes lists the pids, on the host, of all processes of the container.
func (e Engine) Processes(id string) ([]int, error) {
	c, err := e.load(id)
	if err != nil {
		return nil, err
	}
	pids, err := c.Processes()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	return pids, nil
}

func (e Engine) load(id string) (*libcontainer.Container, error) {
	c, err := libcontainer.Load(e.Root, id)
	if errors.Is(err, libcontainer.ErrNotExist) {
		return nil, ErrAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("load container: %w", err)
	}
	return c, nil
}

// destroy ends c and waits until its cgroups can be removed.
func (e Engine) destroy(c *libcontainer.Container) error {
	if err := kill(c); err != nil {
		return err
	}
	if err := awaitEnd(c); err != nil {
		return err
	}
	if err := c.Destroy(); err != nil {
		return fmt.Errorf("remove container: %w", err)
	}
	return nil
}

// awaitEnd waits for c's init to be gone. It may be a child of this process,
// a zombie that only we can reap, or somebody else's.
func awaitEnd(c *libcontainer.Container) error {
	state, err := c.State()
	if err != nil {
		return fmt.Errorf("read container's state: %w", err)
	}
	pid := state.InitProcessPid
	if pid <= 0 {
		return nil
	}
	if status, err := c.Status(); err != nil || status == libcontainer.Stopped {
		reap(pid)
		return nil // gone, or a pid that is somebody else's by now
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open init: %w", err)
	}
	defer unix.Close(fd)
	const patience = 10_000 // ms; a process in an uninterruptible wait cannot be killed
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, patience)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for init's end: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("init (pid %d) does not die", pid)
		}
		reap(pid)
		return nil
	}
}

// reap takes the exit status of pid if it is a child of ours that has ended.
func reap(pid int) {
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
