//go:build integration

package integration

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLife(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--hostname", "box")
	wantStatus(t, vps, "stopped")
	refused(t, 4, vps, "create", "--template", "busybox", vps)
	must(t, "create", "--if-missing", "--template", "busybox", vps)
	refused(t, 5, vps, "pause", vps)

	must(t, "start", "--wait", vps)
	wantStatus(t, vps, "running")
	if got := in(t, vps, "hostname"); got != "box" {
		t.Errorf("it is called %q", got)
	}
	refused(t, 5, vps+" running", "start", vps)
	refused(t, 5, vps+" running", "destroy", vps)
	sh(t, vps, "echo kept >/root/file")

	first := inspect(t, vps)
	must(t, "restart", vps)
	second := inspect(t, vps)
	if second.Boot != first.Boot+1 || second.PID == first.PID {
		t.Errorf("not restarted: boot %d pid %d, then boot %d pid %d", first.Boot, first.PID, second.Boot, second.PID)
	}
	if got := in(t, vps, "cat", "/root/file"); got != "kept" {
		t.Errorf("its file holds %q", got)
	}

	must(t, "stop", vps)
	wantStatus(t, vps, "stopped")
	must(t, "stop", vps)
	if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
		t.Errorf("it ended so: %+v, not by its own shutdown", end)
	}
	must(t, "destroy", vps)
	refused(t, 3, vps, "status", vps)
	refused(t, 3, vps, "destroy", vps)
	must(t, "destroy", "--if-exists", vps)
}

func TestSeveralAtOnce(t *testing.T) {
	hostAsBefore(t)
	one, two := create(t, "busybox"), create(t, "busybox")
	must(t, "start", "--wait", one, two)
	if out := must(t, "list"); !strings.Contains(out, one) || !strings.Contains(out, two) {
		t.Errorf("list:\n%s", out)
	}
	r := try("stop", one, "nobody", two)
	if r.status != 3 || !strings.Contains(r.errOut, "nobody") {
		t.Error(r)
	}
	wantStatus(t, one, "stopped")
	wantStatus(t, two, "stopped")
	must(t, "destroy", one, two)
}

func TestPauseAndResume(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	must(t, "pause", vps)
	must(t, "pause", vps)
	wantStatus(t, vps, "paused")
	must(t, "resume", vps)
	must(t, "resume", vps)
	wantStatus(t, vps, "running")
	in(t, vps, "true")

	// What is paused can still be ended.
	must(t, "pause", vps)
	must(t, "kill", vps)
	wantStatus(t, vps, "stopped")
	must(t, "start", "--wait", vps)
	must(t, "pause", vps)
	must(t, "destroy", "--force", vps)
}

func TestKill(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	must(t, "kill", vps)
	wantStatus(t, vps, "stopped")
	if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "killed" {
		t.Errorf("it ended so: %+v", end)
	}
	refused(t, 5, vps, "kill", vps)
	must(t, "start", "--wait", vps)
}

func TestStopRightAfterStart(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	for range 5 {
		must(t, "start", vps)
		if r := try("stop", "--timeout", slow(time.Minute).String(), vps); r.status != 0 || r.took >= slow(time.Minute) {
			t.Fatal(r)
		}
		if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
			t.Errorf("it ended so: %+v, not by its own shutdown", end)
		}
	}
}

// An init that ignores everything is killed when its time is over.
func TestStopTimeout(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	replaceInit(t, vps, "#!/bin/sh\ntrap '' TERM INT USR1 USR2 HUP PWR RTMIN+3 RTMIN+4\nwhile :; do sleep 1; done\n")
	must(t, "start", vps)
	r := try("stop", "--timeout", "3s", vps)
	if r.took < 3*time.Second {
		t.Errorf("not after 3 s: %s", r)
	}
	if r.status != 0 && r.status != 9 {
		t.Error(r)
	}
	wantStatus(t, vps, "stopped")
	if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "killed" {
		t.Errorf("it ended so: %+v", end)
	}
	must(t, "start", vps)
	if r := try("stop", "--fast", vps); r.status != 0 {
		t.Error(r)
	}
}

// replaceInit puts a script where the init of a VPS is: it runs for a moment,
// because what it holds is its own.
func replaceInit(t *testing.T, vps, script string) {
	t.Helper()
	must(t, "start", "--wait", vps)
	if r := croftWithin(usual, script, "exec", vps, "--", "sh", "-c",
		"cat >/sbin/init.new && chmod 755 /sbin/init.new && mv /sbin/init.new /sbin/init"); r.status != 0 {
		t.Fatal(r)
	}
	must(t, "stop", vps)
}

func TestShortLivedInit(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	replaceInit(t, vps, "#!/bin/sh\necho this is why\nexit 3\n")
	r := try("start", "--wait", vps)
	if r.status == 0 || !strings.Contains(r.errOut, "this is why") {
		t.Errorf("a failure with its last words is expected: %s", r)
	}
	eventually(t, "it is stopped", func() bool { return status(t, vps) == "stopped" })
	if end := inspect(t, vps).LastEnd; end == nil || end.Status != 3 {
		t.Errorf("it ended so: %+v", end)
	}
}

func TestPowerOffAndRebootFromInside(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "64M")
	before := inspect(t, vps)
	bootID := in(t, vps, "cat", "/proc/sys/kernel/random/boot_id")
	for range 3 {
		reboot(t, vps)
	}
	after := inspect(t, vps)
	if after.Interfaces[0].MAC != before.Interfaces[0].MAC ||
		strings.Join(after.Interfaces[0].Addresses, " ") != strings.Join(before.Interfaces[0].Addresses, " ") || after.UUID != before.UUID {
		t.Errorf("a reboot made of %+v this: %+v", before, after)
	}
	if again := in(t, vps, "cat", "/proc/sys/kernel/random/boot_id"); again == bootID {
		t.Error("the boot id is still the same")
	}
	try("exec", vps, "--", "poweroff")
	must(t, "wait", "--for", "stopped", vps)
	if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
		t.Errorf("it ended so: %+v", end)
	}
}

func TestWait(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	if got := must(t, "wait", "--for", "stopped", vps); got != "-" {
		t.Errorf("it has never run, and its exit status is %q", got)
	}
	refused(t, 9, vps, "wait", "--for", "running", "--timeout", "300ms", vps)
	_, wait := background(t, "wait", "--for", "network", vps)
	must(t, "start", vps)
	if r := wait(); r.status != 0 {
		t.Error(r)
	}
	refused(t, 9, vps+" not booted again", "wait", "--for", "reboot", "--timeout", "300ms", vps)
	waiting, wait := background(t, "wait", "--for", "reboot", vps)
	// The wait may begin when a reboot is over already: then the next one counts.
	eventually(t, "it has seen a reboot", func() bool {
		reboot(t, vps)
		return syscall.Kill(waiting.Process.Pid, 0) != nil
	})
	if r := wait(); r.status != 0 || r.out != "" {
		t.Error(r)
	}
	_, wait = background(t, "wait", "--for", "stopped", vps)
	must(t, "stop", vps)
	if r := wait(); r.status != 0 || r.out != "0\n" {
		t.Error(r)
	}
	must(t, "start", vps)
	must(t, "kill", vps)
	if got := must(t, "wait", vps); got != "137" {
		t.Errorf("it was killed, and its exit status is %s", got)
	}
	alone := create(t, "busybox", "--network", "none")
	refused(t, 5, alone+" no network", "wait", "--for", "network", alone)
}

// Whoever kills a command does not harm the VPS.
func TestKilledCommands(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	start, wait := background(t, "start", "--wait=network", vps)
	eventually(t, "it is starting", func() bool { return status(t, vps) != "stopped" })
	start.Process.Kill()
	wait()
	must(t, "wait", "--for", "booted", vps)

	exec, wait := background(t, "exec", vps, "--", "sleep", "1000")
	eventually(t, "the command runs", func() bool { return strings.Contains(in(t, vps, "ps"), "sleep 1000") })
	exec.Process.Kill()
	wait()
	wantStatus(t, vps, "running")
	in(t, vps, "true")
	must(t, "stop", vps)
}

func TestKilledMonitor(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	before := inspect(t, vps)
	kill := func() {
		t.Helper()
		i := inspect(t, vps)
		if i.MonitorPID == 0 {
			t.Fatalf("no monitor: %+v", i)
		}
		if err := syscall.Kill(i.MonitorPID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the monitor is gone", func() bool { _, err := os.Stat(monitorDir(i.MonitorPID)); return err != nil })
	}
	kill()
	if got := in(t, vps, "echo", "alive"); got != "alive" {
		t.Errorf("inside: %q", got)
	}
	if s := list(t)[vps].Status; s != "running" && s != "orphaned" {
		t.Errorf("it is listed as %s", s)
	}
	must(t, "inspect", vps)
	eventually(t, "it has a monitor again", func() bool { i := inspect(t, vps); return i.MonitorPID != 0 && i.Status == "running" })
	if after := inspect(t, vps); after.PID != before.PID {
		t.Errorf("its init was %d and is %d", before.PID, after.PID)
	}
	kill()
	must(t, "stop", vps)
	wantStatus(t, vps, "stopped")
	must(t, "start", "--wait", vps)
	kill()
	eventually(t, "it has a monitor again", func() bool { return inspect(t, vps).MonitorPID != 0 })
	kill()
	must(t, "destroy", "--force", vps)
}
