//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A monitor is in no cgroup of whoever started its VPS, and its own one ends
// with it.
func TestMonitorHasItsOwnCgroup(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	callers := filepath.Join(memoryHierarchy(t), vps+"-caller")
	if err := os.Mkdir(callers, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, "the caller's cgroup can be removed", func() bool { return unix.Rmdir(callers) == nil })
	})
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	args := append(where(world.root, world.run), "start", "--wait", vps)
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `echo $$ >` + callers + `/cgroup.procs && exec "$@"`, "sh", world.croft}, args...)...)
	if r := finish(cmd, args); r.status != 0 {
		t.Fatal(r)
	}
	check := func(when string) {
		t.Helper()
		i := inspect(t, vps)
		for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/cgroup", i.MonitorPID))) {
			_, at, _ := strings.Cut(strings.TrimSpace(line), ":")
			if _, path, _ := strings.Cut(at, ":"); path != "/" && !strings.Contains(path, "monitor-"+vps) {
				t.Errorf("%s: the monitor is in %s", when, line)
			}
		}
	}
	check("started")
	boot := inspect(t, vps).Boot
	_ = try("exec", vps, "--", "reboot")
	eventually(t, "it has rebooted", func() bool { i := inspect(t, vps); return i.Boot > boot && i.Status == "running" && i.MonitorPID != 0 })
	check("rebooted")
	if err := unix.Kill(inspect(t, vps).MonitorPID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has another monitor", func() bool { return try("stop", "--fast", vps).status == 0 })
	must(t, "start", vps)
	check("started again")
	must(t, "stop", "--fast", vps)
	left, err := filepath.Glob("/sys/fs/cgroup/*/croft/*" + vps + "*")
	if more, e := filepath.Glob("/sys/fs/cgroup/croft/*" + vps + "*"); err != nil || e != nil || len(left)+len(more) > 0 {
		t.Errorf("left: %q %q, %v %v", left, more, err, e)
	}
}

func memoryHierarchy(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} {
		if exists(filepath.Join(dir, "cgroup.procs")) {
			return dir
		}
	}
	t.Fatal("no cgroups are mounted at /sys/fs/cgroup")
	return ""
}
