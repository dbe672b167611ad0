package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"
)

// A monitor's bounds. While it starts a VPS it is a Go program with children;
// afterwards it takes about a megabyte and one thread.
const (
	monitorMemory = 512 << 20 // bytes
	monitorTasks  = 512
)

// monitorCgroup is beside the VPS's own cgroup. It cannot be the name of a VPS,
// which has no "_".
func monitorCgroup(name string) string { return path.Join("/", CgroupParent, "_monitor-"+name) }

func monitorManager(name string, r *cgroups.Resources) (cgroups.Manager, error) {
	if name == "" || name != filepath.Base(name) {
		return nil, fmt.Errorf("invalid container name %q", name)
	}
	cm, err := manager.New(&cgroups.Cgroup{Path: monitorCgroup(name), Resources: r})
	if err != nil {
		return nil, fmt.Errorf("find the monitor's cgroup: %w", err)
	}
	return cm, nil
}

// shelterInCgroup takes this process, the monitor of the VPS name, out of its
// caller's cgroup in every hierarchy, into one with bounds of its own. An
// existing one, of a monitor that was killed, is used again.
func (e Engine) moveToOwnCgroup(name string) error {
	if err := os.MkdirAll(e.Root, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	unlock, err := e.keepParents()
	if err != nil {
		return err
	}
	defer unlock()
	tasks := int64(monitorTasks)
	cm, err := monitorManager(name, &cgroups.Resources{SkipDevices: true})
	if err != nil {
		return err
	}
	if err := cm.Apply(os.Getpid()); err != nil {
		return fmt.Errorf("move the monitor into a cgroup: %w", err)
	}
	for _, bound := range []*cgroups.Resources{
		{SkipDevices: true, Memory: monitorMemory},
		{SkipDevices: true, PidsLimit: &tasks},
	} {
		// A host without the controller is what "host check" tells of.
		if err := cm.Set(bound); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("bound the monitor's cgroup: %w", err)
		}
	}
	return nil
}

// Leave takes this process, the monitor of the VPS name, out of the cgroup that
// Shelter made, and removes that: the monitor is about to end. With systemd it
// does nothing, since systemd removes a scope without processes.
func (e Engine) RemoveOwnScope(name string) error {
	if e.Manager.Resolve() == Systemd {
		return nil
	}
	cm, err := monitorManager(name, &cgroups.Resources{})
	if err != nil {
		return err
	}
	var failed error
	for _, dir := range cm.GetPaths() {
		if _, err := os.Lstat(dir); err != nil {
			continue
		}
		top := filepath.Dir(filepath.Dir(dir))
		if err := cgroups.WriteCgroupProc(top, os.Getpid()); err != nil {
			failed = fmt.Errorf("leave the monitor's cgroup: %w", err) // a later Delete removes it
		}
	}
	return errors.Join(failed, e.removeMonitorCgroup(name))
}

// removeMonitorCgroup removes the cgroup of a monitor that has ended. It stays
// if a monitor lives in it. No-op if it is missing. The caller makes sure that
// no monitor of that name starts meanwhile.
func (e Engine) removeMonitorCgroup(name string) error {
	if e.Manager.Resolve() == Systemd {
		return nil
	}
	cm, err := monitorManager(name, &cgroups.Resources{})
	if err != nil {
		return err
	}
	var dirs []string
	for _, dir := range cm.GetPaths() {
		if _, err := os.Lstat(dir); dir != "" && err == nil {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	for _, dir := range dirs {
		err := unix.Rmdir(dir)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("remove the monitor's cgroup: %w", err)
		}
	}
	if err := os.MkdirAll(e.Root, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	return e.removeParents(dirs)
}

// leaveOthers takes this process out of its caller's cgroups in hierarchies of
// version 1 that systemd does not manage.
func leaveOthers() {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		if controllers := unmanaged(line); controllers != "" {
			_ = os.WriteFile(filepath.Join("/sys/fs/cgroup", controllers, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
		}
	}
}

// unmanaged returns the controllers of a line of /proc/PID/cgroup if they are in
// a hierarchy of version 1 that systemd leaves alone, and "" otherwise.
func unmanaged(line string) string {
	fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
	if len(fields) != 3 || fields[2] == "/" {
		return ""
	}
	first, _, _ := strings.Cut(fields[1], ",")
	switch first {
	case "freezer", "cpuset", "net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc":
		return fields[1]
	}
	return ""
}
