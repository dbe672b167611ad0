//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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
			must(t, "destroy", "--force", vps)
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

// kill9 kills pid and returns when it has ended.
func kill9(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
	eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool { return gone(pid) })
}

// A run --rm that is killed leaves nothing: its VPS's monitor sees to it, and
// the next command if the monitor is killed too.
func TestKilledRun(t *testing.T) {
	for _, monitorToo := range []bool{false, true} {
		t.Run(fmt.Sprintf("monitor-too-%v", monitorToo), func(t *testing.T) {
			hostAsBefore(t)
			vps := name(t, "run")
			t.Cleanup(func() { destroy(t, vps) })
			run, wait := background(t, "run", "--rm", "--name", vps, "--template", "busybox", "--", "sh", "-c", "echo up >/up; sleep 1000")
			eventually(t, "its command runs", func() bool { return try("exec", vps, "--", "test", "-e", "/up").status == 0 })
			if monitorToo {
				monitor := inspect(t, vps).MonitorPID
				syscall.Kill(monitor, syscall.SIGSTOP)
				run.Process.Kill()
				wait()
				kill9(t, monitor)
				must(t, "list")
			} else {
				run.Process.Kill()
				wait()
			}
			eventually(t, "the VPS is gone", func() bool {
				_, err := os.Stat(filepath.Join(world.root, "vps", vps))
				return err != nil
			})
			refused(t, 3, vps, "inspect", vps)
			must(t, "--lock-timeout", "60s", "destroy", "--if-exists", vps) // its remover still holds its lock
		})
	}
}

// A run --rm whose reader goes away ends its command and removes its VPS.
func TestRunIntoAClosedPipe(t *testing.T) {
	hostAsBefore(t)
	vps := name(t, "run")
	t.Cleanup(func() { destroy(t, vps) })
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(context.Background(), "run", "--rm", "--name", vps, "--template", "busybox", "--", "yes")
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if _, err := read.Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	read.Close()
	if status := exitStatus(cmd.Wait()); status != 128+int(syscall.SIGPIPE) {
		t.Errorf("exit %d, not as by SIGPIPE", status)
	}
	if left := list(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	refused(t, 3, vps, "inspect", vps)
}

// A list whose reader is gone ends as by SIGPIPE, and says nothing.
func TestListIntoAClosedPipe(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	cmd := command(context.Background(), "list")
	cmd.Stdout = write
	if r := finish(cmd, []string{"list"}); r.status != 128+int(syscall.SIGPIPE) || r.errOut != "" {
		t.Error(r)
	}
}

// A reboot from inside is a reboot, also under the second monitor, and a
// power-off is a power-off.
func TestRebootAfterAdoption(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	adopted := func() {
		t.Helper()
		kill9(t, inspect(t, vps).MonitorPID)
		eventually(t, "it has a monitor again", func() bool { return inspect(t, vps).MonitorPID != 0 })
		eventually(t, "init is traced", func() bool {
			return field(t, fmt.Sprintf("/proc/%d/status", inspect(t, vps).PID), "TracerPid:") != 0
		})
	}
	for range 2 {
		adopted()
		reboot(t, vps)
	}
	adopted()
	try("exec", vps, "--", "poweroff")
	must(t, "wait", "--for", "stopped", vps)
	if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
		t.Errorf("it ended so: %+v", end)
	}
}

// A VPS that reboots while it has no monitor comes up with the next command.
func TestRebootWithoutMonitor(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	was := inspect(t, vps)
	if r := croftWithin(usual, "", "exec", vps, "--", "sh", "-c", "(sleep 1; reboot) >/dev/null 2>&1 </dev/null &"); r.status != 0 {
		t.Fatal(r)
	}
	kill9(t, was.MonitorPID)
	eventually(t, "it has ended", func() bool { return gone(was.PID) })
	i := list(t)[vps]
	if i.Status != "running" && i.Status != "starting" && i.Status != "stopping" {
		t.Errorf("the next command finds it %s", i.Status)
	}
	must(t, "wait", "--for", "booted", vps)
	if now := inspect(t, vps); now.Boot != was.Boot+1 {
		t.Errorf("boot %d, after %d", now.Boot, was.Boot)
	}
	// Asked to stop, it stays stopped.
	was = inspect(t, vps)
	kill9(t, was.MonitorPID)
	kill9(t, was.PID)
	must(t, "stop", vps)
	wantStatus(t, vps, "stopped")
	if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "unknown" {
		t.Errorf("it ended so: %+v", end)
	}
}

// A monitor that stands still keeps no VPS from being stopped, killed or
// destroyed.
func TestMonitorStandsStill(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	still := func() {
		t.Helper()
		if err := syscall.Kill(inspect(t, vps).MonitorPID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	still()
	if r := try("stop", "--timeout", "2s", vps); r.status != 0 && r.status != 9 {
		t.Error(r)
	}
	wantStatus(t, vps, "stopped")
	must(t, "start", "--wait", vps)
	still()
	must(t, "kill", vps)
	wantStatus(t, vps, "stopped")
	must(t, "start", "--wait", vps)
	still()
	must(t, "destroy", "--force", vps)
}

// A croft exec that was stopped, by Ctrl-Z for example, is the parent of a
// process inside and does not reap it, and the kernel ends no init before that.
func TestExecStandsStill(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	for _, orphan := range []bool{false, true} {
		for _, end := range [][]string{{"kill"}, {"stop", "--fast"}, {"stop", "--timeout", "1s"}} {
			must(t, "start", "--wait", vps)
			cmd := command(context.Background(), "exec", vps, "--", "sleep", "1000")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			t.Cleanup(func() { cmd.Process.Kill(); <-ended })
			eventually(t, "it runs inside", func() bool { return try("exec", vps, "--", "pidof", "sleep").status == 0 })
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if orphan {
				killMonitor(t, vps)
			}
			if r := try(append(end, vps)...); r.status != 0 && r.status != 9 {
				t.Errorf("orphan %v: %s", orphan, r)
			}
			wantStatus(t, vps, "stopped")
			select {
			case <-ended:
			case <-time.After(usual):
				t.Fatal("the exec still runs")
			}
		}
	}
}

// A stop whose VPS loses its monitor meanwhile ends the VPS, and leaves nothing.
func TestMonitorKilledDuringStop(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--publish", "127.0.0.1:18087:80")
	sh(t, vps, "echo '::shutdown:/bin/sleep 1000' >>/etc/inittab")
	must(t, "restart", "--fast", "--wait", vps)
	for _, both := range []bool{false, true} {
		i := inspect(t, vps)
		stopped := make(chan result, 1)
		go func() { stopped <- try("stop", "--timeout", "10s", vps) }()
		eventually(t, "it shuts down", func() bool {
			out, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", i.PID, i.PID))
			if err != nil {
				t.Fatal(err)
			}
			for _, child := range strings.Fields(string(out)) {
				if line, _ := os.ReadFile("/proc/" + child + "/cmdline"); strings.Contains(string(line), "1000") {
					return true
				}
			}
			return false
		})
		kill9(t, i.MonitorPID)
		if both {
			kill9(t, i.PID)
		}
		if r := <-stopped; r.status != 0 && r.status != 9 {
			t.Errorf("both %v: %s", both, r)
		}
		wantStatus(t, vps, "stopped")
		rules, err := exec.Command("iptables-save", "-t", "nat").Output()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(rules), ":"+vps) {
			t.Errorf("both %v: left behind: %s", both, rules)
		}
		must(t, "start", "--wait", vps)
	}
}

// A running VPS can be stopped and killed whatever its files say.
func TestStopWithBadFiles(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	settings := filepath.Join(world.root, "vps", vps, "vps.json")
	good, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, file, text string }{
		{"settings", settings, "{"},
		{"run", filepath.Join(world.run, "vps", vps, "run.json"), "{"},
	} {
		for _, verb := range []string{"stop", "kill"} {
			for _, orphan := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s-%s-orphan-%v", c.what, verb, orphan), func(t *testing.T) {
					must(t, "start", "--wait", vps)
					i := inspect(t, vps)
					if err := os.WriteFile(c.file, []byte(c.text), 0o600); err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { os.WriteFile(settings, good, 0o600) })
					if orphan {
						kill9(t, i.MonitorPID)
					}
					must(t, verb, vps)
					if !gone(i.PID) {
						t.Errorf("init (pid %d) still runs", i.PID)
					}
					if err := os.WriteFile(settings, good, 0o600); err != nil {
						t.Fatal(err)
					}
					must(t, "stop", vps)
					os.Remove(filepath.Join(world.run, "vps", vps, "run.json"))
				})
			}
		}
	}
}

// A terminal is as before when its reader is gone, and the command has ended.
func TestExecOnATerminalIntoAClosedPipe(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	master, slave := openPTY(t)
	defer master.Close()
	defer slave.Close()
	modes := func() unix.Termios {
		m, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return *m
	}
	before := modes()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(context.Background(), "exec", "-t", vps, "--", "yes")
	cmd.Stdin, cmd.Stdout = slave, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	read.Read(make([]byte, 2))
	read.Close()
	if status := exitStatus(cmd.Wait()); status == 0 || status > 128+int(syscall.SIGPIPE) {
		t.Errorf("exit %d", status)
	}
	if modes() != before {
		t.Error("the terminal is not as it was before")
	}
	if out := in(t, vps, "ps"); strings.Contains(out, " yes") {
		t.Errorf("the command runs on:\n%s", out)
	}
}

// logs -f goes on when the monitor is killed, and the monitor's log says that
// init ran and ended.
func TestLogsOfAKilledMonitor(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	follow, wait := background(t, "logs", "--follow", vps)
	was := inspect(t, vps).MonitorPID
	kill9(t, was)
	eventually(t, "it has a monitor again", func() bool { now := inspect(t, vps).MonitorPID; return now != 0 && now != was })
	sh(t, vps, "echo after the kill >/dev/console")
	must(t, "stop", vps)
	if r := wait(); r.status != 0 || !strings.Contains(r.out, "after the kill") {
		t.Errorf("%s (%v)", r, follow.ProcessState)
	}
	text := must(t, "logs", "--monitor", vps)
	for _, want := range []string{"init runs (boot 1)", "init has ended"} {
		if !strings.Contains(text, want) {
			t.Errorf("the monitor's log lacks %q:\n%s", want, text)
		}
	}
}

// A console goes on when the monitor is killed.
func TestConsoleOfAKilledMonitor(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	term := onTerminal(t, "console", vps)
	sh(t, vps, "echo before the kill >/dev/console")
	term.expect("before the kill")
	kill9(t, inspect(t, vps).MonitorPID)
	term.expect("goes on with a new one")
	eventually(t, "the console goes on", func() bool {
		// Until the VPS has its new console writing fails, and until the client is
		// attached again the output is in the log alone.
		try("exec", vps, "--", "sh", "-c", "echo after the kill >/dev/console")
		return strings.Contains(term.text(), "after the kill")
	})
	must(t, "stop", vps)
	if status := term.ended(); status != 0 {
		t.Errorf("exit %d", status)
	}
}

// Two VPSs with the same ids, which a copied file can bring about, never run at
// the same time.
func TestNoTwoWithTheSameIDs(t *testing.T) {
	hostAsBefore(t)
	first, second := boot(t, "busybox"), create(t, "busybox")
	settings := filepath.Join(world.root, "vps", second, "vps.json")
	good, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(settings, good, 0o600) })
	var v map[string]any
	if err := json.Unmarshal(good, &v); err != nil {
		t.Fatal(err)
	}
	v["ids"].(map[string]any)["first"] = inspect(t, first).IDs.First
	copied, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 4, "a process that is not its own runs as its user", "start", second)
	wantStatus(t, second, "stopped")
	wantStatus(t, first, "running")
	if err := os.WriteFile(settings, good, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "start", second)
}

// A command that does not fit into --pids says so.
func TestExecAtTheLimitOfProcesses(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--pids", "24")
	try("exec", vps, "--", "sh", "-c", "while :; do sleep 1000 >/dev/null 2>&1 </dev/null & done 2>/dev/null")
	eventually(t, "the VPS is full", func() bool {
		r := try("exec", vps, "--", "true")
		if r.status == 0 {
			return false
		}
		if r.status != 125 || !strings.Contains(r.errOut, "limit of processes") {
			t.Errorf("the limit is not named: %s", r)
		}
		return true
	})
}
