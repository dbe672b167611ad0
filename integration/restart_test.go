//go:build integration

package integration

import (
	"syscall"
	"testing"
	"time"
)

// A VPS starts again as its policy says, by its own monitor.
func TestRestartPolicy(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none", "--restart", "on-failure")
	must(t, "start", "--wait", vps)
	again := func(what string, end func(pid int)) {
		t.Helper()
		before := inspect(t, vps)
		end(before.PID)
		eventually(t, what+": it runs again", func() bool {
			i := inspect(t, vps)
			return i.Status == "running" && i.Boot == before.Boot+1 && i.Restarts.Count == before.Restarts.Count+1 && i.Restarts.Last != nil
		})
	}
	again("killed from outside", func(pid int) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	})
	if last := inspect(t, vps).Restarts.Last; last.Reason != "killed" {
		t.Errorf("it ended so: %+v", last)
	}
	in(t, vps, "poweroff")
	must(t, "wait", "--for", "stopped", "--timeout", slow(time.Minute).String(), vps)

	must(t, "start", "--wait", vps)
	must(t, "set", vps, "--restart", "always")
	again("powered off inside", func(int) { in(t, vps, "poweroff") })
	must(t, "stop", vps)
	wantStatus(t, vps, "stopped")
}

// A VPS whose init always fails is restarted with pauses. A stop ends that at once,
// and a start does not wait for the end of the pause.
func TestCrashLoop(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none", "--restart", "always")
	must(t, "start", "--wait", vps)
	sh(t, vps, `cp -a /sbin/init /root/init; rm /sbin/init; printf '#!/bin/sh\nexit 3\n' >/sbin/init; chmod 755 /sbin/init`)
	must(t, "stop", vps)
	must(t, "start", vps)
	waits := func(count int) {
		t.Helper()
		eventually(t, "it waits after some restarts", func() bool {
			i := inspect(t, vps)
			return i.Status == "restarting" && i.Restarts.Count >= count && i.LastEnd != nil && i.LastEnd.Status == 3
		})
	}
	waits(5) // the pause is more than a second now
	refused(t, 125, vps+" waits", "exec", vps, "--", "true")
	refused(t, 5, vps, "destroy", vps)
	must(t, "start", vps)
	waits(5)
	must(t, "stop", vps)
	wantStatus(t, vps, "stopped")

	must(t, "set", vps, "--restart", "on-failure:2")
	must(t, "start", vps)
	must(t, "wait", "--for", "stopped", "--timeout", slow(time.Minute).String(), vps)
	if i := inspect(t, vps); i.Restarts.Count != 2 {
		t.Errorf("it gave up after %d restarts", i.Restarts.Count)
	}
}
