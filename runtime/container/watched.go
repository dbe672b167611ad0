package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Watched are numbers of a container's cgroup that a process can watch. The kernel
// reports a change to inotify(7) in version 2. In version 1 it reports a lack of memory
// to Alarm, and does not report refused forks.
type Watched struct {
	OOMKills Counter  // processes killed because no memory was left
	PIDHits  Counter  // forks refused because of the limit of processes
	Alarm    *os.File // an eventfd; nil in version 2
	// MemoryCgroup is the memory cgroup as the kernel writes it in its messages: a path
	// below the root of the hierarchy. "": that is not known.
	MemoryCgroup string
}

// A Counter is the number of a key in a file with lines of "KEY NUMBER".
type Counter struct{ File, Key string }

// Watched returns the numbers of the container. The caller closes Alarm.
func (e Engine) Watched(id string) (Watched, error) {
	c, err := e.load(id)
	if err != nil {
		return Watched{}, err
	}
	state, err := c.lc.State()
	if err != nil {
		return Watched{}, fmt.Errorf("read container's state: %w", err)
	}
	w := watchedIn(state.CgroupPaths)
	if w.MemoryCgroup, err = belowHierarchy(filepath.Dir(w.OOMKills.File)); err != nil {
		return Watched{}, err
	}
	if dir := state.CgroupPaths["memory"]; dir != "" {
		if w.Alarm, err = oomAlarm(dir); err != nil {
			return Watched{}, err
		}
	}
	return w, nil
}

// watchedIn returns the numbers of the cgroups with these directories, by their
// controllers. That of version 2 has the name "".
func watchedIn(dirs map[string]string) Watched {
	two := dirs[""]
	w := Watched{
		OOMKills: Counter{filepath.Join(two, "memory.events"), "oom_kill"},
		PIDHits:  Counter{filepath.Join(two, "pids.events.local"), "max"}, // since Linux 6.11
	}
	if dir := dirs["memory"]; dir != "" {
		w.OOMKills.File = filepath.Join(dir, "memory.oom_control")
	}
	if dir := dirs["pids"]; dir != "" {
		w.PIDHits.File = filepath.Join(dir, "pids.events")
	}
	return w
}

// belowHierarchy returns the path of a cgroup directory below the root of its hierarchy; "" if no
// hierarchy is mounted above it.
func belowHierarchy(dir string) (string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(dir))
	if err != nil {
		return "", fmt.Errorf("look for the memory cgroup: %w", err)
	}
	path, longest := "", -1
	for _, m := range mounts {
		below, err := filepath.Rel(m.Mountpoint, dir)
		if err == nil && (m.FSType == "cgroup" || m.FSType == "cgroup2") && len(m.Mountpoint) > longest {
			path, longest = filepath.Join(m.Root, below), len(m.Mountpoint)
		}
	}
	return path, nil
}

// oomAlarm returns an eventfd that the kernel signals when the version 1 cgroup dir has
// no memory left (Documentation/admin-guide/cgroup-v1/memory.rst, 10). It is nil if the
// kernel does not offer that.
func oomAlarm(dir string) (*os.File, error) {
	control, err := os.Open(filepath.Join(dir, "memory.oom_control"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("watch memory: %w", err)
	}
	defer control.Close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch memory: %w", err)
	}
	alarm := os.NewFile(uintptr(fd), "eventfd")
	register, err := os.OpenFile(filepath.Join(dir, "cgroup.event_control"), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		alarm.Close()
		return nil, nil
	}
	if err == nil {
		_, err = fmt.Fprintf(register, "%d %d", fd, control.Fd())
		register.Close()
	}
	if err != nil {
		alarm.Close()
		return nil, fmt.Errorf("watch memory: %w", err)
	}
	return alarm, nil
}
