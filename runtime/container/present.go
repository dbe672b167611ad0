package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// The kernel knows which processes a VPS has even when the files of croft and
// of libcontainer are gone: they are in the cgroups named after it.

// Remains lists the processes, by their pid on the host, in the cgroups named
// after the VPS id. It asks the kernel alone: no file below Root is read. No
// such cgroup gives an empty list. They can be another croft's of that name.
func (e Engine) Remains(id string) ([]int, error) {
	r, err := e.remains(id)
	if err != nil {
		return nil, err
	}
	return r.processes()
}

// EndRemains kills every process in the cgroups named after the VPS id and
// removes these cgroups and libcontainer's files, which need not be there. The
// caller knows that the processes are its own. It is a no-op if nothing is left.
func (e Engine) EndRemains(id string) error {
	r, err := e.remains(id)
	if err != nil {
		return err
	}
	dirs := r.cgroupDirs()
	if err := r.removeAll(); err != nil || len(dirs) == 0 {
		return err
	}
	return e.removeParents(dirs)
}

// Remaining returns the ids of all VPSs after which a cgroup is named. Most of
// them run; Remains knows. It reads one directory, however many VPSs there are.
func (e Engine) Remaining() (map[string]bool, error) {
	dir, err := e.parentDir()
	if err != nil || dir == "" {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list cgroups: %w", err)
	}
	ids := map[string]bool{}
	for _, entry := range entries {
		if id := idOf(filepath.Base(dir), entry.Name()); entry.IsDir() && id != "" {
			ids[id] = true
		}
	}
	return ids, nil
}

// parentDir returns the directory of the cgroups of all VPSs, in a hierarchy
// that contains every process. It is "" on a host without such a hierarchy.
func (e Engine) parentDir() (string, error) {
	parent := CgroupParent
	if e.Manager.Resolve() == Systemd {
		parent = Slice
	}
	const root = "/sys/fs/cgroup"
	if cgroups.IsCgroup2UnifiedMode() {
		return filepath.Join(root, parent), nil
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("list cgroup hierarchies: %w", err)
	}
	for _, entry := range entries {
		hierarchy := filepath.Join(root, entry.Name())
		var is unix.Statfs_t
		if entry.IsDir() && unix.Statfs(hierarchy, &is) == nil && is.Type == unix.CGROUP_SUPER_MAGIC {
			return filepath.Join(hierarchy, parent), nil
		}
	}
	return "", nil
}

// idOf returns the VPS that the cgroup name in parent is of, "" if of none.
func idOf(parent, name string) string {
	if parent == CgroupParent {
		return name
	}
	id, ok := strings.CutPrefix(name, CgroupParent+"-")
	id, isScope := strings.CutSuffix(id, ".scope")
	if !ok || !isScope {
		return ""
	}
	return id
}
