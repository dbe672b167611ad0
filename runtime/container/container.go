package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"croft/internal/trace"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ErrAbsent means that no container has that name. Callers may test for it.
var ErrAbsent = libcontainer.ErrNotExist

// ErrNotRunning means that the init of the container has ended. Callers may
// test for it.
var ErrNotRunning = libcontainer.ErrNotRunning

// A Container has been created; its init may have ended. Errors of its methods
// are libcontainer's own, in words that users of an OCI runtime know. An Engine
// adds the action that failed.
type Container struct {
	root        string // below which libcontainer keeps its files
	lc          *libcontainer.Container
	startRecord startRecord // of a container being made
}

// MakeOptions is how a container is made, beyond what its bundle says.
type MakeOptions struct {
	Systemd      bool // systemd makes the cgroups: linux.cgroupsPath is SLICE:PREFIX:NAME
	Rootless     bool // leave out operations on cgroups that the caller is not allowed to do
	NoPivot      bool // MS_MOVE and chroot(2), for a root filesystem on the initramfs
	NoNewKeyring bool // init keeps the caller's session keyring

	properties []systemd.Property // of the scope, for Systemd
}

// Make takes the name id for a container of the bundle in the working
// directory, which is where linked code looks for it. Nothing runs yet:
// Start makes its init. On error nothing is left; else the caller has to
// Delete it.
func Make(root, id string, spec *specs.Spec, o MakeOptions) (*Container, error) {
	defer trace.Span("libcontainer: create")()
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName: id, Spec: spec, UseSystemdCgroup: o.Systemd,
		NoPivotRoot: o.NoPivot, NoNewKeyring: o.NoNewKeyring,
		RootlessEUID: os.Geteuid() != 0, RootlessCgroups: o.Rootless,
	})
	if err != nil {
		return nil, err
	}
	accept(config)
	config.Cgroups.SystemdProps = append(config.Cgroups.SystemdProps, o.properties...)
	keep := startRecord{Hooks: takeHooks(config), Absent: spec.Process == nil}
	lc, err := libcontainer.Create(root, id, config)
	if err != nil {
		return nil, err
	}
	return &Container{root: root, lc: lc, startRecord: keep}, nil
}

// Load returns the container id below root. A missing one is ErrAbsent.
func Load(root, id string) (*Container, error) {
	lc, err := libcontainer.Load(root, id)
	if err != nil {
		return nil, err
	}
	return &Container{root: root, lc: lc}, nil
}

// Forget removes the files that a killed Make left of the container id. Load
// does not find such a container. No-op if there are none.
func Forget(root, id string) error {
	if id == "" || id != filepath.Base(id) || id == "." || id == ".." {
		return libcontainer.ErrInvalidID
	}
	return os.RemoveAll(filepath.Join(root, id))
}

// Start makes the container's namespaces, mounts, cgroups and init, which
// waits for Go.
func (c *Container) Start(p *specs.Process, s Streams) (*Running, error) {
	defer trace.Span("libcontainer: start")()
	if c.startRecord.Absent {
		p = placeholder()
	}
	lp, err := newProcess(p, s)
	if err != nil {
		return nil, err
	}
	lp.Init = true
	if err := c.saveStartRecord(c.startRecord); err != nil {
		return nil, err
	}
	if err := c.lc.Start(lp); err != nil {
		return nil, err
	}
	return newRunning(lp)
}

// Exec runs a command beside the container's init, in the cgroups below the
// container's own that cgroups says by controller: "" with cgroup version 2.
func (c *Container) Exec(p *specs.Process, s Streams, cgroups map[string]string) (*Running, error) {
	defer trace.Span("libcontainer: run a process")()
	lp, err := newProcess(p, s)
	if err != nil {
		return nil, err
	}
	lp.SubCgroupPaths = cgroups
	if err := c.lc.Run(lp); err != nil {
		return nil, err
	}
	return newRunning(lp)
}

// Signal sends sig to the container's init, and SIGKILL to all its processes:
// a frozen one is thawed for that, or nothing in a cgroup of version 1 would
// die. It is ErrNotRunning when init has ended.
func (c *Container) Signal(sig os.Signal) error { return c.lc.Signal(sig) }

// kill sends SIGKILL to every process of the container; one that has ended is a
// no-op. Run again, it sees to what keeps a killed init from ending.
func (c *Container) kill() error {
	if status, err := c.lc.Status(); err == nil && status != libcontainer.Stopped {
		if state, err := c.lc.State(); err == nil {
			releaseOutsiders(state.InitProcessPid)
		}
	}
	if err := c.Signal(unix.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	return nil
}

// Delete ends every process of the container and removes its cgroups and files
// from the host.
func (c *Container) Delete() error {
	if err := c.kill(); err != nil {
		return fmt.Errorf("kill init: %w", err)
	}
	if err := c.awaitEnd(); err != nil {
		return err
	}
	return c.Remove()
}

// Remove is Delete for a container that has ended; one that has not is an error.
func (c *Container) Remove() error {
	c.forgivePoststop()
	return c.lc.Destroy()
}

// Pids lists the pids, on the host, of all processes of the container.
func (c *Container) Pids() ([]int, error) { return c.lc.Processes() }

// Pause stops every process of the container where it is; a paused one is an
// error.
func (c *Container) Pause() error { return c.lc.Pause() }

// Resume lets a paused container go on; one that is not is an error.
func (c *Container) Resume() error { return c.lc.Resume() }

// awaitEnd waits for c's init to be gone. It may be a child of this process,
// a zombie that only we can reap, or another process's.
func (c *Container) awaitEnd() error {
	state, err := c.lc.State()
	if err != nil {
		return fmt.Errorf("read container's state: %w", err)
	}
	pid := state.InitProcessPid
	if pid <= 0 {
		return nil
	}
	if status, err := c.lc.Status(); err != nil || status == libcontainer.Stopped {
		reap(pid)
		return nil // gone, or a pid that is another process's by now
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open init: %w", err)
	}
	defer unix.Close(fd)
	if err := awaitExit(pid, fd); err != nil {
		return err
	}
	reap(pid)
	return nil
}

// reap collects the exit status of pid, if that is a child of this process and
// has ended.
func reap(pid int) {
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
