package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

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

// monitorPrefix begins the name of a monitor's cgroup. No name of a VPS has "_" in it.
const monitorPrefix = "_monitor-"

// monitorManager is of the cgroup of a VPS's monitor, which is beside the VPS's own.
func monitorManager(name string, r *cgroups.Resources) (cgroups.Manager, error) {
	if name == "" || name != filepath.Base(name) {
		return nil, fmt.Errorf("invalid container name %q", name)
	}
	return besideManager(monitorPrefix+name, r)
}

// besideManager is of a cgroup beside those of VPSs.
func besideManager(leaf string, r *cgroups.Resources) (cgroups.Manager, error) {
	cm, err := manager.New(&cgroups.Cgroup{Path: path.Join("/", CgroupParent, leaf), Resources: r})
	if err != nil {
		return nil, fmt.Errorf("find the cgroup %s: %w", leaf, err)
	}
	return cm, nil
}

// moveToOwnCgroup takes this process, the monitor of the VPS name, out of its
// caller's cgroup in every hierarchy, into one with bounds of its own. An
// existing one, of a monitor that was killed, is used again.
func (e Engine) moveToOwnCgroup(name string) error {
	cm, err := monitorManager(name, &cgroups.Resources{SkipDevices: true})
	if err != nil {
		return err
	}
	if err := e.bound(cm, os.Getpid(), monitorMemory, monitorTasks); err != nil {
		return fmt.Errorf("move the monitor into a cgroup: %w", err)
	}
	return nil
}

// bound moves a process into a cgroup with limits of memory, in bytes, and of processes and
// threads. -1 is no limit. The cgroup may exist.
func (e Engine) bound(cm cgroups.Manager, pid int, memory, tasks int64) error {
	unlock, err := e.keepParents()
	if err != nil {
		return err
	}
	defer unlock()
	if err := enter(cm, pid); err != nil {
		return err
	}
	for _, limit := range []*cgroups.Resources{
		{SkipDevices: true, Memory: memory},
		{SkipDevices: true, PidsLimit: &tasks},
	} {
		// A host without the controller is what "host check" tells of.
		if err := cm.Set(limit); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("limit the cgroup: %w", err)
		}
	}
	return nil
}

// enter moves a process into a cgroup that it creates. Another process may remove the
// cgroup as long as it is empty: then it is created again.
func enter(cm cgroups.Manager, pid int) error {
	const tries = 10
	for try := 1; ; try++ {
		err := cm.Apply(pid)
		if try == tries || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return err
		}
	}
}

// RemoveOwnScope takes this process out of the cgroup that MoveToOwnScope made for
// the monitor of the VPS name, and removes that. It is for the monitor, which is about to
// end, and for a process that the monitor has started and that outlives it: the last one
// that leaves the cgroup removes it. With systemd it does nothing, since systemd removes
// a scope without processes.
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
// if a process lives in it. No-op if it is missing.
func (e Engine) removeMonitorCgroup(name string) error {
	if e.Manager.Resolve() == Systemd {
		return nil
	}
	cm, err := monitorManager(name, &cgroups.Resources{})
	if err != nil {
		return err
	}
	return e.removeBeside(cm)
}

// removeBeside removes a cgroup of besideManager, unless a process lives in it. No-op if it
// is missing.
func (e Engine) removeBeside(cm cgroups.Manager) error {
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
		if err := removeWithoutProcesses(dir); err != nil {
			return fmt.Errorf("remove a cgroup: %w", err)
		}
	}
	return e.removeParents(dirs)
}

// leavePatience is how long the kernel may count a process in its cgroup although it has
// ended, or is about to.
const leavePatience = 5 * time.Second

// removeWithoutProcesses removes the cgroup directory dir. It stays if a process lives in
// it. A process that has just been killed drops its files, and with them croft's locks,
// before it leaves its cgroup: croft waits for that.
func removeWithoutProcesses(dir string) error {
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		if livesIn(dir) || time.Since(begun) > leavePatience {
			return nil
		}
	}
}

// livesIn reports whether a process is in the cgroup directory dir that is not about to
// end.
func livesIn(dir string) bool {
	pids, err := cgroups.GetPids(dir)
	return err != nil && !errors.Is(err, fs.ErrNotExist) || slices.ContainsFunc(pids, func(pid int) bool {
		stat, err := statOf(pid)
		return err == nil && !stat.Exiting
	})
}

// removeStaleCgroups removes cgroups of monitors that have ended: those without
// processes whose VPS has no container. Such a cgroup is left if a program that the
// monitor had started outlived it, and each command that ends or starts a VPS removes
// it then. The same holds for cgroups of builds whose croft was killed. An error is left to
// the next command.
func (e Engine) removeStaleCgroups() {
	parent, err := e.parentDir()
	if err != nil || parent == "" || e.Manager.Resolve() == Systemd {
		return
	}
	entries, _ := os.ReadDir(parent) // there may be none
	for _, entry := range entries {
		name, isMonitor := strings.CutPrefix(entry.Name(), monitorPrefix)
		if _, err := os.Lstat(filepath.Join(e.Root, name)); isMonitor && err == nil || !isMonitor && !strings.HasPrefix(entry.Name(), buildPrefix) {
			continue
		}
		if pids, err := cgroups.GetPids(filepath.Join(parent, entry.Name())); err != nil || len(pids) > 0 {
			continue
		}
		if cm, err := besideManager(entry.Name(), &cgroups.Resources{}); err == nil {
			_ = e.removeBeside(cm)
		}
	}
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
