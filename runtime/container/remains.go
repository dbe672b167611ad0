package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"
)

// Remains are what carries a container's name without a state that Load can
// read: the directory and the cgroups of a Make that was killed half way, or of
// a container whose state is corrupt. They are found by the name alone.
type remains struct {
	id      string
	dir     string // libcontainer's, which may be missing
	cgroups cgroups.Manager
}

// remains finds the processes and cgroups of id that are left. It changes
// nothing.
func (e Engine) remains(id string) (remains, error) {
	config, err := e.cgroupOf(id)
	if err != nil {
		return remains{}, err
	}
	cm, err := manager.New(config)
	if err != nil {
		return remains{}, fmt.Errorf("find cgroups of %s: %w", id, err)
	}
	return remains{id: id, dir: filepath.Join(e.Root, id), cgroups: cm}, nil
}

// cgroupOf is the configuration that libcontainer makes from the cgroups path
// of id (specconv.CreateCgroupConfig).
func (e Engine) cgroupOf(id string) (*cgroups.Cgroup, error) {
	if id == "" || id != filepath.Base(id) || id == "." || id == ".." {
		return nil, fmt.Errorf("invalid container name %q", id)
	}
	where := e.Manager.CgroupsPath(id)
	none := &cgroups.Resources{}
	if e.Manager.Resolve() != Systemd {
		return &cgroups.Cgroup{Path: path.Clean(where), Resources: none}, nil
	}
	parts := strings.Split(where, ":")
	if len(parts) != 3 {
		return nil, fmt.Errorf("invalid cgroups path %q", where)
	}
	return &cgroups.Cgroup{Parent: parts[0], ScopePrefix: parts[1], Name: parts[2], Systemd: true, Resources: none}, nil
}

// ours reports whether libcontainer's directory of that name is there: then a
// Make of this Engine has used the name, and the cgroups are its own.
func (r remains) ours() bool {
	_, err := os.Lstat(r.dir)
	return err == nil
}

// cgroupDirs lists the cgroup directories that exist, sorted.
func (r remains) cgroupDirs() []string {
	var dirs []string
	for _, dir := range r.cgroups.GetPaths() {
		if _, err := os.Lstat(dir); dir != "" && err == nil {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// processes lists the pids, on the host, of all processes in the cgroups.
func (r remains) processes() ([]int, error) {
	var all []int
	for _, dir := range r.cgroupDirs() {
		pids, err := cgroups.GetAllPids(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return nil, fmt.Errorf("list processes of %s: %w", dir, err)
		}
		all = append(all, pids...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// kill sends SIGKILL to every process in the cgroups once, and thaws them so
// that it reaches them (cgroups of version 1 hold back even SIGKILL).
func (r remains) kill() error {
	pids, err := r.processes()
	if err != nil || len(pids) == 0 {
		return err
	}
	for _, dir := range r.cgroupDirs() { // absent before kernel 5.14 and in version 1
		_ = cgroups.WriteFile(dir, "cgroup.kill", "1")
	}
	var failed error
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			failed = fmt.Errorf("kill process %d of %s: %w", pid, r.id, err)
		}
	}
	if err := r.cgroups.Freeze(cgroups.Thawed); err != nil && failed == nil && !errors.Is(err, fs.ErrNotExist) {
		failed = fmt.Errorf("thaw %s: %w", r.id, err)
	}
	return failed
}

// remove ends what runs in the cgroups, and removes them and the directory.
// Absent ones are a no-op. Processes in cgroups that are not ours are left
// alone, and are an error.
func (r remains) remove() error {
	if pids, err := r.processes(); err != nil {
		return err
	} else if len(pids) > 0 && !r.ours() {
		return fmt.Errorf("the cgroup of %s holds processes that croft did not start here: %s", r.id, listed(pids))
	}
	return r.removeAll()
}

// removeAll is remove for a caller that knows the processes to be its own.
func (r remains) removeAll() error {
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		pids, err := r.processes()
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			break
		}
		if err := r.kill(); err != nil {
			return err
		}
		for _, pid := range pids {
			reap(pid)
		}
		if time.Since(begun) > exitPace {
			for _, pid := range pids {
				releaseOutsiders(pid)
			}
		}
		waited := time.Since(begun)
		if waited > exitPatience || waited > killPatience && !slices.ContainsFunc(pids, Exiting) {
			return fmt.Errorf("processes of %s do not end: %s", r.id, listed(pids))
		}
	}
	if len(r.cgroupDirs()) > 0 {
		if err := r.cgroups.Destroy(); err != nil {
			return fmt.Errorf("remove cgroups of %s: %w", r.id, err)
		}
	}
	if err := os.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("remove state of container %s: %w", r.id, err)
	}
	return nil
}

// listed is the first few of pids as text.
func listed(pids []int) string {
	const most = 5
	if len(pids) > most {
		return fmt.Sprintf("pids %v and %d more", pids[:most], len(pids)-most)
	}
	return fmt.Sprintf("pids %v", pids)
}
