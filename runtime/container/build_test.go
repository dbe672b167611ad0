package container

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// inBuildCgroup starts a process in the cgroup of a build, and returns it with how that is
// removed, and with one of the directories.
func inBuildCgroup(t *testing.T, e Engine) (child *exec.Cmd, remove func(), dir string) {
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
		e.removeStaleCgroups()
	})
	remove, err = e.BoundBuild(context.Background(), child.Process.Pid, 64<<20, 10)
	if err != nil {
		t.Skipf("this host's cgroups cannot be changed: %v", err)
	}
	return child, remove, filepath.Join(parent, buildPrefix+strconv.Itoa(child.Process.Pid))
}

// A build has its limits, and its cgroup goes with it. That of a build whose croft was killed
// goes with the next command.
func TestBoundBuild(t *testing.T) {
	e := Engine{Root: t.TempDir(), Manager: Cgroupfs}
	child, remove, dir := inBuildCgroup(t, e)
	text, err := os.ReadFile("/proc/" + strconv.Itoa(child.Process.Pid) + "/cgroup")
	if err != nil || !strings.Contains(string(text), "/"+CgroupParent+"/"+filepath.Base(dir)) {
		t.Errorf("it is in %s, %v", text, err)
	}
	limits := 0
	for _, file := range []string{"pids/" + CgroupParent + "/" + filepath.Base(dir) + "/pids.max", CgroupParent + "/" + filepath.Base(dir) + "/pids.max"} {
		if text, err := os.ReadFile("/sys/fs/cgroup/" + file); err == nil && string(text) == "10\n" {
			limits++
		}
	}
	if limits != 1 {
		t.Errorf("%d limits of processes", limits)
	}
	e.removeStaleCgroups()
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the cgroup of a build that runs is removed: %v", err)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	remove()
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}

	child, _, dir = inBuildCgroup(t, e)
	_ = child.Process.Kill()
	_ = child.Wait()
	e.removeStaleCgroups()
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left after croft was killed", dir)
	}
}
