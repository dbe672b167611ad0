//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// halfMade leaves what a monitor leaves that is killed after libcontainer has
// made exec.fifo and before it has written state.json: the directory, the
// cgroups and a process in them.
func halfMade(t *testing.T, vps string, process bool) (dirs []string) {
	t.Helper()
	state := filepath.Join(world.run, "containers", vps)
	if err := os.MkdirAll(state, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(state, "exec.fifo"), 0o622); err != nil {
		t.Fatal(err)
	}
	tops, _ := filepath.Glob("/sys/fs/cgroup/*")
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		tops = []string{"/sys/fs/cgroup"}
	}
	for _, top := range tops {
		dir := filepath.Join(top, "croft", vps)
		if _, err := os.Stat(filepath.Join(top, "cgroup.procs")); err != nil || os.MkdirAll(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = unix.Rmdir(dir); _ = unix.Rmdir(filepath.Dir(dir)) })
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		t.Fatal("no cgroup could be made")
	}
	if !process {
		return dirs
	}
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	go sleep.Wait() // a zombie would stay in its cgroups
	t.Cleanup(func() { sleep.Process.Kill() })
	joined := 0
	for _, dir := range dirs {
		if os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(fmt.Sprint(sleep.Process.Pid)), 0) == nil {
			joined++ // a cpuset without CPUs takes none
		}
	}
	if joined == 0 {
		t.Fatal("no cgroup takes a process")
	}
	return dirs
}

// A monitor that was killed while it made the container does not keep its VPS
// from starting again, nor leave anything behind when that is destroyed.
func TestMonitorKilledDuringStart(t *testing.T) {
	if systemdIsPID1() {
		t.Skip("systemd is PID 1: cgroups have other names")
	}
	for _, process := range []bool{false, true} {
		t.Run(fmt.Sprintf("process-%v", process), func(t *testing.T) {
			hostAsBefore(t)
			vps := create(t, "busybox")
			halfMade(t, vps, process)
			must(t, "start", "--wait", vps)
			must(t, "stop", vps)
			dirs := halfMade(t, vps, process)
			must(t, "destroy", vps)
			for _, dir := range dirs {
				if exists(dir) {
					t.Errorf("%s is left", dir)
				}
			}
		})
	}
}

// A container whose state is corrupt is removed like any other.
func TestCorruptContainerState(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	file := filepath.Join(world.run, "containers", vps, "state.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "kill", vps)
	wantStatus(t, vps, "stopped")
	must(t, "start", "--wait", vps)
}

func systemdIsPID1() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}
