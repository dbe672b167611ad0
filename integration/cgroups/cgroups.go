// Package cgroups gives a program a part of the cgroup tree that it sees as the whole tree: what
// it and its children make there ends with it. The conformance tests and the benchmark run in one.
package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Root is where every distribution mounts cgroups.
const Root = "/sys/fs/cgroup"

// A Hierarchy is one tree of cgroups.
type Hierarchy struct {
	mount   string // where it is
	v2      bool
	options string // with which it is mounted once more, of version 1
}

// Parse finds the hierarchies in a mountinfo(5), each once.
func Parse(mountinfo string) []Hierarchy {
	var all []Hierarchy
	seen := map[string]bool{}
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields, source := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(source) < 3 {
			continue
		}
		h := Hierarchy{mount: fields[4]}
		switch source[0] {
		case "cgroup2":
			h.v2 = true
		case "cgroup":
			h.options = cgroupOptions(source[2])
		default:
			continue
		}
		if h.mount != Root && !strings.HasPrefix(h.mount, Root+"/") || seen[h.mount] {
			continue
		}
		seen[h.mount] = true
		all = append(all, h)
	}
	return all
}

// cgroupOptions leaves of a superblock's options those that say which
// hierarchy of version 1 it is.
func cgroupOptions(super string) string {
	var kept []string
	for _, o := range strings.Split(super, ",") {
		switch {
		case o == "rw" || o == "ro" || o == "xattr" || o == "noprefix" || o == "clone_children" ||
			strings.HasPrefix(o, "release_agent="):
		case strings.HasPrefix(o, "name="):
			kept = append(kept, "none", o)
		default:
			kept = append(kept, o)
		}
	}
	return strings.Join(kept, ",")
}

// A Tree is one cgroup in each hierarchy, which a box sees as the roots.
type Tree struct {
	Hierarchies []Hierarchy
	Name        string
}

// Dirs are the directories of the cgroups.
func (t Tree) Dirs() []string {
	var dirs []string
	for _, h := range t.Hierarchies {
		dirs = append(dirs, filepath.Join(h.mount, t.Name))
	}
	return dirs
}

// Make makes the cgroups, able to have processes.
func (t Tree) Make() error {
	for _, dir := range t.Dirs() {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Of version 1, whoever makes one has to say where its processes may run.
		for _, name := range []string{"cpuset.mems", "cpuset.cpus"} {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.TrimSpace(string(text)) != "" {
				continue
			}
			text, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), text, 0)
			}
			if err != nil {
				return fmt.Errorf("set %s: %w", name, err)
			}
		}
		// And how much of its parent's time is for real-time processes. Another
		// cgroup may have it already: then the tests that want it fail, of every runtime.
		const realtime = "cpu.rt_runtime_us"
		if text, err := os.ReadFile(filepath.Join(filepath.Dir(dir), realtime)); err == nil {
			_ = os.WriteFile(filepath.Join(dir, realtime), text, 0)
		}
	}
	return nil
}

// Enter moves this process into the cgroups.
func (t Tree) Enter() error {
	for _, dir := range t.Dirs() {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the cgroups and all that were made below them. What runs
// there is killed, thawed if need be. To remove them again is a success.
func (t Tree) Remove() error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := t.tryRemove()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond) // for who is dying
	}
}

func (t Tree) tryRemove() error {
	var all []error
	for _, dir := range t.Dirs() {
		Thaw(dir)
		below := cgroupsBelow(dir)
		for i := len(below) - 1; i >= 0; i-- {
			killAll(below[i])
			if err := os.Remove(below[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				all = append(all, err)
			}
		}
	}
	return errors.Join(all...)
}

// cgroupsBelow returns a cgroup and all below it, parents first.
func cgroupsBelow(dir string) []string {
	var all []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, path)
		}
		return nil // gone meanwhile
	})
	return all
}

// Thaw lets run what is frozen in a hierarchy from dir on: no signal ends it
// otherwise, in version 1.
func Thaw(dir string) {
	for _, d := range cgroupsBelow(dir) {
		os.WriteFile(filepath.Join(d, "freezer.state"), []byte("THAWED"), 0)
		os.WriteFile(filepath.Join(d, "cgroup.freeze"), []byte("0"), 0)
	}
}

func killAll(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return
	}
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// Remount puts hierarchies in place of those that are mounted, after this
// process's cgroup namespace has become a new one: of each is seen what is
// below the cgroup that this process is in.
func Remount(hierarchies []Hierarchy) error {
	links := map[string]string{} // cpu -> cpu,cpuacct
	entries, err := os.ReadDir(Root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(Root, e.Name())); err == nil {
			links[e.Name()] = to
		}
	}
	if err := unix.Unmount(Root, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", Root, err)
	}
	if len(hierarchies) != 1 || hierarchies[0].mount != Root {
		if err := unix.Mount("tmpfs", Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", Root, err)
		}
	}
	for _, h := range hierarchies {
		kind := "cgroup"
		if h.v2 {
			kind = "cgroup2"
		}
		if err := os.MkdirAll(h.mount, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(kind, h.mount, kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, h.options); err != nil {
			return fmt.Errorf("mount %s: %w", h.mount, err)
		}
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(Root, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// Delegate makes a box's root of version 2 like the root of a host: its
// processes are in a leaf, and all controllers are there below it.
func Delegate(hierarchies []Hierarchy) error {
	for _, h := range hierarchies {
		if !h.v2 {
			continue
		}
		leaf := filepath.Join(h.mount, "suite")
		if err := os.Mkdir(leaf, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(h.mount, "cgroup.controllers"))
		if err != nil {
			return err
		}
		for _, c := range strings.Fields(string(text)) {
			if err := os.WriteFile(filepath.Join(h.mount, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
				return fmt.Errorf("enable %s: %w", c, err)
			}
		}
	}
	return nil
}
