package container

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestIDOf(t *testing.T) {
	for _, c := range []struct{ parent, name, want string }{
		{CgroupParent, "web", "web"},
		{Slice, "croft-web.scope", "web"},
		{Slice, "croft_monitor-web.scope", ""},
		{Slice, "cgroup.procs", ""},
	} {
		if got := idOf(c.parent, c.name); got != c.want {
			t.Errorf("idOf(%q, %q) = %q, want %q", c.parent, c.name, got, c.want)
		}
	}
}

// A process in the cgroup of a VPS is found and ended, even if libcontainer has
// no files of that container.
func TestEndRemains(t *testing.T) {
	const id = "unit-test-remains"
	e := Engine{Root: t.TempDir(), Manager: Cgroupfs}
	parent, err := e.parentDir()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 || parent == "" {
		t.Skip("making cgroups takes root and a cgroup file system")
	}
	dir := filepath.Join(parent, id, "below")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Skipf("this host's cgroups cannot be changed: %v", err)
	}
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
		_ = e.EndRemains(id)
	})
	procs := filepath.Join(dir, "cgroup.procs")
	if err := os.WriteFile(procs, []byte(strconv.Itoa(child.Process.Pid)), 0); err != nil {
		t.Skipf("this host's cgroups cannot be changed: %v", err)
	}
	if pids, err := e.Remains(id); err != nil || !slices.Equal(pids, []int{child.Process.Pid}) {
		t.Errorf("remains: %v, %v", pids, err)
	}
	if ids, err := e.Remaining(); err != nil || !ids[id] {
		t.Errorf("remaining: %v, %v", slices.Sorted(maps.Keys(ids)), err)
	}
	if err := e.Delete(id); err == nil {
		t.Error("Delete took processes that may be another croft's")
	}
	for range 2 {
		if err := e.EndRemains(id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
		t.Errorf("the cgroup is still there: %v", err)
	}
}
