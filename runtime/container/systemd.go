package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	cgroupsystemd "github.com/opencontainers/cgroups/systemd"
)

// Slice is where systemd keeps croft's units.
const Slice = "croft.slice"

// Service is the unit that boots and shuts down the host's VPSs.
const Service = "croft.service"

// outlivesService orders a scope before Service. A shutdown of the host then
// stops the scope after Service has ended. By then the VPS has shut down, and
// systemd has no process to kill.
func outlivesService() systemd.Property { return systemd.PropBefore(Service) }

// A CgroupManager makes cgroups: the host's systemd, or the kernel's file
// system directly.
type CgroupManager string

// The cgroup managers. Auto is systemd where that is PID 1.
const (
	Auto     CgroupManager = ""
	Systemd  CgroupManager = "systemd"
	Cgroupfs CgroupManager = "cgroupfs"
)

// Resolve returns what Auto is on this host, and any other as it is.
func (c CgroupManager) Resolve() CgroupManager {
	switch {
	case c != Auto:
		return c
	case cgroupsystemd.IsRunningSystemd():
		return Systemd
	}
	return Cgroupfs
}

// CgroupsPath returns the linux.cgroupsPath of a bundle for the VPS name: a
// path, or slice, prefix and name of a scope for systemd.
func (c CgroupManager) CgroupsPath(name string) string {
	if c.Resolve() == Systemd {
		return Slice + ":" + CgroupParent + ":" + name
	}
	return path.Join("/", CgroupParent, name)
}

// monitorScope cannot be the name of a VPS's own scope, since no name of a VPS
// has "_" in it. "@" would make it an instance, which no transient unit can be.
func monitorScope(name string) string { return "croft_monitor-" + name + ".scope" }

// MoveToOwnScope takes this process, the monitor of the VPS name, out of whatever
// session or service it was started from, which may end before the VPS does,
// and whose limits are not the VPS's, into a scope of its own. Without systemd
// it is a cgroup beside the VPS's, which RemoveOwnScope removes. A program that the
// last monitor has started, such as a hook, may still be in the scope of that: then
// the new scope has the pid in its name.
func (e Engine) MoveToOwnScope(ctx context.Context, name string) error {
	if e.Manager.Resolve() != Systemd {
		return e.moveToOwnCgroup(name)
	}
	leaveOthers()
	conn, err := systemd.NewWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reach systemd: %w", err)
	}
	defer conn.Close()
	s := scope{name: monitorScope(name), description: "monitor of VPS " + name, pid: os.Getpid(), memory: monitorMemory, tasks: monitorTasks}
	err = s.start(ctx, conn, outlivesService())
	if exists := (dbus.Error{}); errors.As(err, &exists) && exists.Name == "org.freedesktop.systemd1.UnitExists" {
		s.name = monitorScope(name + "." + strconv.Itoa(os.Getpid()))
		err = s.start(ctx, conn, outlivesService())
	}
	if err != nil {
		return fmt.Errorf("make scope for the monitor: %w", err)
	}
	return nil
}

// A scope is a unit of systemd for a process that croft has started.
type scope struct {
	name, description string
	pid               int
	memory, tasks     int64 // bytes; processes and threads; -1 is no limit
}

// start moves the process into the scope, which is new.
func (s scope) start(ctx context.Context, conn *systemd.Conn, more ...systemd.Property) error {
	// systemd's value without a limit is the largest, as is -1 here.
	properties := append([]systemd.Property{
		systemd.PropDescription(s.description),
		systemd.PropSlice(Slice),
		systemd.PropPids(uint32(s.pid)),
		{Name: "MemoryMax", Value: dbus.MakeVariant(uint64(s.memory))},
		{Name: "TasksMax", Value: dbus.MakeVariant(uint64(s.tasks))},
		// The scope of a killed process is removed: the next one needs its name.
		{Name: "CollectMode", Value: dbus.MakeVariant("inactive-or-failed")},
	}, more...)
	done := make(chan string, 1)
	_, err := conn.StartTransientUnitContext(ctx, s.name, "replace", properties, done)
	if err != nil {
		return err
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("systemd says %s", result)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
