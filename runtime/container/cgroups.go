package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"croft/internal/flock"

	"github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // device rules fail without it
	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
)

// cgroupDirs returns the container's cgroup directories, sorted.
func cgroupDirs(c *libcontainer.Container) ([]string, error) {
	state, err := c.State()
	if err != nil {
		return nil, fmt.Errorf("read container's state: %w", err)
	}
	var dirs []string
	for _, dir := range state.CgroupPaths {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

// Cgroups returns the cgroup directories of the container: in version 1 by the names of
// their controllers, and that of version 2, if the container is in one, as "". An absent
// container is ErrAbsent.
func (e Engine) Cgroups(id string) (map[string]string, error) {
	c, err := e.load(id)
	if err != nil {
		return nil, err
	}
	state, err := c.lc.State()
	if err != nil {
		return nil, fmt.Errorf("read container's state: %w", err)
	}
	dirs := maps.Clone(state.CgroupPaths)
	delete(dirs, "")
	if dir := unified(state); dir != "" {
		dirs[""] = dir
	}
	return dirs, nil
}

// unified returns c's directory in the cgroup2 hierarchy, "" if it has none.
func unified(state *libcontainer.State) string {
	if dir, ok := state.CgroupPaths[""]; ok && (cgroups.IsCgroup2UnifiedMode() || cgroups.IsCgroup2HybridMode()) {
		return dir
	}
	return ""
}

// delegate gives c's cgroup2 directory to the root inside, with the files
// that the kernel says may be given away and no other: limits stay the
// host's. libcontainer does that with its systemd manager alone.
func delegate(c *libcontainer.Container) error {
	state, err := c.State()
	if err != nil {
		return fmt.Errorf("read container's state: %w", err)
	}
	dir := unified(state)
	config := c.Config()
	uid, err := config.HostRootUID()
	if dir == "" || err != nil || uid == 0 {
		return err
	}
	gid, err := config.HostRootGID()
	if err != nil {
		return err
	}
	names := []string{"."}
	if list, err := os.ReadFile("/sys/kernel/cgroup/delegate"); err == nil {
		names = append(names, strings.Fields(string(list))...)
	} else { // kernels before 4.15
		names = append(names, "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
	}
	for _, name := range names {
		if err := os.Chown(filepath.Join(dir, name), uid, gid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("give cgroup to the VPS: %w", err)
		}
	}
	return nil
}

// besideInit says which cgroup of c's own a command joins: init's. A guest that
// divides its cgroup2 tree, as systemd does, has made the root of it a cgroup
// that may hold no process (cgroups(7), no internal processes). Nil is c's own
// cgroup, which is right with version 1.
func besideInit(c *libcontainer.Container) (map[string]string, error) {
	if !cgroups.IsCgroup2UnifiedMode() {
		return nil, nil
	}
	state, err := c.State()
	if err != nil {
		return nil, fmt.Errorf("read container's state: %w", err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", state.InitProcessPid))
	if err != nil {
		return nil, fmt.Errorf("find init's cgroup: %w", err)
	}
	path := below(unified(state), string(text))
	if path == "/" {
		return nil, nil // libcontainer looks again if init moves just now
	}
	return map[string]string{"": path}, nil
}

// below returns where a process is below the cgroup directory dir, as
// /proc/PID/cgroup says it; "/" if it is not below it.
func below(dir, procCgroup string) string {
	_, path, _ := strings.Cut(strings.TrimSpace(procCgroup), "0::")
	rest, ok := strings.CutPrefix(filepath.Join("/sys/fs/cgroup", path), dir)
	if !ok || rest == "" {
		return "/"
	}
	return rest
}

// openParents opens the lock that keeps two processes from creating and removing
// the directory of all cgroups at the same time.
func (e Engine) openParents() (*flock.File, error) {
	if err := os.MkdirAll(e.Root, 0o700); err != nil {
		return nil, fmt.Errorf("lock cgroups: %w", err)
	}
	f, err := flock.Open(filepath.Join(e.Root, ".cgroups.lock"), flock.Cgroups)
	if err != nil {
		return nil, fmt.Errorf("lock cgroups: %w", err)
	}
	return f, nil
}

// keepParents keeps the directory of all cgroups from being removed until
// unlock is called. Several processes may keep it at the same time. There is no
// deadline: a process that removes the directory holds the lock for moments
// only.
func (e Engine) keepParents() (unlock func(), err error) {
	f, err := e.openParents()
	if err != nil {
		return nil, err
	}
	if err := f.WaitShared(context.Background()); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock cgroups: %w", err)
	}
	return func() { f.Close() }, nil
}

// removeParents removes the directories above the cgroups of a removed
// container if no other container has a cgroup there. If another process is
// creating one, they stay.
func (e Engine) removeParents(dirs []string) error {
	f, err := e.openParents()
	if err != nil {
		return err
	}
	defer f.Close()
	if free, err := f.Try(); err != nil || !free {
		return err
	}
	for _, dir := range dirs {
		if filepath.Base(filepath.Dir(dir)) == CgroupParent {
			_ = unix.Rmdir(filepath.Dir(dir)) // not empty, or gone: both are fine
		}
	}
	return nil
}

// UnifiedOnly reports whether this host has version 2 of cgroups and no other.
func UnifiedOnly() bool { return cgroups.IsCgroup2UnifiedMode() }

// HasController reports whether this host has the cgroup controller name, and
// croft can use it. It is false if the host cannot be asked.
func HasController(name string) bool {
	if !cgroups.IsCgroup2UnifiedMode() {
		_, err := cgroups.FindCgroupMountpoint("", name)
		return err == nil
	}
	all, err := cgroups.GetAllSubsystems()
	return err == nil && slices.Contains(all, name)
}
