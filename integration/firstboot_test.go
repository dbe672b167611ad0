//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func scriptFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// firstBootOf is what inspect says about the script of a VPS.
func firstBootOf(t *testing.T, vps string) (state string, status int) {
	t.Helper()
	var info struct {
		FirstBoot *struct {
			State  string
			Status int
		}
	}
	if err := json.Unmarshal([]byte(must(t, "inspect", vps)), &info); err != nil {
		t.Fatal(err)
	}
	if info.FirstBoot == nil {
		return "", 0
	}
	return info.FirstBoot.State, info.FirstBoot.Status
}

// A first-boot script runs once, as root, without a file inside, and its output is in
// the console log. start --wait waits for it.
func TestFirstBoot(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none", "--first-boot", scriptFile(t, "#!/bin/sh -u\n"+
		"echo run by $(id -u) with [$(cat)]\necho once >>/root/ran\nsleep 1\necho last >&2\n"))
	if state, _ := firstBootOf(t, vps); state != "pending" {
		t.Errorf("before the start: %s", state)
	}
	must(t, "start", "--wait", vps)
	if got := must(t, "logs", vps); !strings.Contains(got, "run by 0 with []") || !strings.Contains(got, "last") {
		t.Errorf("the log is\n%s", got)
	}
	if state, _ := firstBootOf(t, vps); state != "done" {
		t.Errorf("after the start: %s", state)
	}
	must(t, "restart", "--wait", vps)
	if got := sh(t, vps, "cat /root/ran"); got != "once" {
		t.Errorf("it ran %q", got)
	}
	if _, err := os.Stat(filepath.Join(world.root, "vps", vps, "first-boot")); !os.IsNotExist(err) {
		t.Errorf("the script is still there: %v", err)
	}
}

// A script that fails is an error of start --wait, with its output. The VPS runs on. A
// script can be set again and withdrawn.
func TestFirstBootFails(t *testing.T) {
	hostAsBefore(t)
	bad := scriptFile(t, "echo no such luck\nexit 7\n")
	vps := create(t, "busybox", "--network", "none", "--first-boot", bad)
	r := try("start", "--wait", vps)
	checkRefusal(t, r, 11, "exit status 7")
	if !strings.Contains(r.errOut, "first-boot: no such luck") {
		t.Errorf("start says %s", r.errOut)
	}
	if state, status := firstBootOf(t, vps); state != "failed" || status != 7 {
		t.Errorf("%s, %d", state, status)
	}
	sh(t, vps, "true")
	must(t, "set", vps, "--first-boot", bad)
	if got := must(t, "list", "--no-header", "--columns", "pending", vps); got != "first-boot" {
		t.Errorf("pending is %q", got)
	}
	must(t, "set", vps, "--first-boot", "none")
	must(t, "restart", "--wait", vps) // without the script, and an old failure is no failure of this boot
	must(t, "set", vps, "--first-boot", scriptFile(t, "#!/no/such/program\n"))
	refused(t, 11, "first-boot script failed", "restart", "--wait", vps)
}

// start without --wait leaves a process that runs the script. The end of the VPS ends
// it, and a killed process leaves a script that is not run again.
func TestFirstBootApart(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none", "--first-boot", scriptFile(t, "echo x >>/root/ran; exec sleep 1000\n"))
	must(t, "start", vps)
	eventually(t, "the script runs", func() bool { return try("exec", vps, "--", "test", "-e", "/root/ran").status == 0 })
	if state, _ := firstBootOf(t, vps); state != "running" {
		t.Errorf("while it runs: %s", state)
	}
	must(t, "stop", "--fast", vps)
	eventually(t, "it was interrupted", func() bool { state, _ := firstBootOf(t, vps); return state == "interrupted" })
	must(t, "start", "--wait", vps)
	if got := sh(t, vps, "cat /root/ran"); got != "x" {
		t.Errorf("it ran %q", got)
	}
}

// The command of run comes after the script.
func TestFirstBootOfRun(t *testing.T) {
	hostAsBefore(t)
	got := must(t, "run", "--rm", "--network", "none", "--first-boot", scriptFile(t, "echo ready >/root/state\n"), "--template", "busybox", "--", "cat", "/root/state")
	if got != "ready" {
		t.Errorf("the command sees %q", got)
	}
}
