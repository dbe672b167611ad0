package container

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/cgroups"
)

func TestUnmanaged(t *testing.T) {
	for line, want := range map[string]string{
		"4:cpuset:/batch\n":              "cpuset",
		"5:net_cls,net_prio:/batch\n":    "net_cls,net_prio",
		"5:cpuset:/\n":                   "",
		"6:memory:/user.slice\n":         "",
		"1:name=systemd:/user.slice\n":   "",
		"0::/user.slice/session.scope\n": "",
		"":                               "",
	} {
		if got := unmanaged(line); got != want {
			t.Errorf("%q: %q, not %q", line, got, want)
		}
	}
}

// inMonitorCgroup starts a process in the cgroup of the monitor of a VPS, in each
// hierarchy, and returns it with one of the directories.
func inMonitorCgroup(t *testing.T, e Engine, name string) (child *exec.Cmd, dir string) {
	t.Helper()
	parent, err := e.parentDir()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 || parent == "" {
		t.Skip("making cgroups takes root and a cgroup file system")
	}
	child = exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
		_ = e.removeMonitorCgroup(name)
	})
	unlock, err := e.keepParents()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	cm, err := monitorManager(name, &cgroups.Resources{SkipDevices: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := cm.Apply(child.Process.Pid); err != nil {
		t.Skipf("this host's cgroups cannot be changed: %v", err)
	}
	return child, filepath.Join(parent, monitorPrefix+name)
}

// The cgroup of a monitor that was killed goes with its VPS, also if the kernel still
// counts the monitor there. It stays while a process lives in it.
func TestMonitorCgroupIsRemoved(t *testing.T) {
	e := Engine{Root: t.TempDir(), Manager: Cgroupfs}
	for range 20 {
		child, dir := inMonitorCgroup(t, e, "unit-test-monitor")
		if err := e.Delete("unit-test-monitor"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); err != nil {
			t.Fatalf("with a process that lives: %v", err)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for !Exiting(child.Process.Pid) { // as the process of a lock that is free
			if s, err := statOf(child.Process.Pid); err != nil || s.State == 'Z' {
				break
			}
		}
		if err := e.Delete("unit-test-monitor"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Fatalf("after its end: %v", err)
		}
	}
}

// Each command that ends a VPS removes the empty cgroups of other monitors that have
// ended, and no others.
func TestStaleMonitorCgroupsAreRemoved(t *testing.T) {
	e := Engine{Root: t.TempDir(), Manager: Cgroupfs}
	dirs := map[string]string{}
	for _, name := range []string{"unit-test-stale", "unit-test-lives"} {
		child, dir := inMonitorCgroup(t, e, name)
		dirs[name] = dir
		if name == "unit-test-lives" {
			continue
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
	}
	if err := e.Delete("unit-test-none"); err != nil {
		t.Fatal(err)
	}
	for name, dir := range dirs {
		_, err := os.Stat(dir)
		if gone := os.IsNotExist(err); gone != (name == "unit-test-stale") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
