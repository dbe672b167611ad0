//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Hooks run around what commands do, and when a VPS reboots and ends by itself. One that
// fails prevents the command, with its output and a status of its own.
func TestHooks(t *testing.T) {
	hostAsBefore(t)
	config := t.TempDir()
	at := func(args ...string) []string { return append([]string{"--config-dir", config}, args...) }
	log := filepath.Join(config, "log")
	write := func(path, script string) {
		t.Helper()
		path = filepath.Join(config, "hooks.d", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	told := func() []string {
		text, _ := os.ReadFile(log)
		return strings.Fields(string(text))
	}
	vps := name(t, "busybox")
	write("10-log", `[ "$2" = `+vps+` ] || exit 0; grep -q '"name":"'$CROFT_NAME'"' || exit 9; echo $1$CROFT_REASON >>`+log)
	expect := func(want string) {
		t.Helper()
		eventually(t, want, func() bool { return strings.Join(told(), " ") == want })
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { try("destroy", "--force", "--if-exists", vps) })
	must(t, at("create", vps, "--template", "busybox", "--network", "none")...)
	must(t, at("start", "--wait", vps)...)
	expect("post-create pre-start post-start")
	try("exec", vps, "--", "reboot") // it may end before it can answer
	expect("post-stoprebooted pre-start post-start")
	try("exec", vps, "--", "poweroff")
	expect("post-stophalted")
	must(t, "wait", vps)

	write(vps+"/20-no", `[ $1 != pre-start ] || { echo the disk is missing; exit 3; }`)
	refused(t, 10, "pre-start: the disk is missing", at("start", vps)...)
	refused(t, 10, "20-no failed: exit status 3", at("start", vps)...)
	wantStatus(t, vps, "stopped")
	if err := os.Chmod(filepath.Join(config, "hooks.d", "10-log"), 0o777); err != nil {
		t.Fatal(err)
	}
	refused(t, 10, "others can write to", at("destroy", vps)...)
	if err := os.RemoveAll(filepath.Join(config, "hooks.d")); err != nil {
		t.Fatal(err)
	}
	must(t, "destroy", vps)
}

// A VPS can be stopped and started while a hook of its last reboot still runs, and its
// monitor leaves nothing behind when that hook ends.
func TestHookOutlivesTheMonitor(t *testing.T) {
	hostAsBefore(t)
	config := t.TempDir()
	vps := name(t, "busybox")
	hook, runs, release := filepath.Join(config, "hooks.d", vps, "10-waits"), filepath.Join(config, "runs"), filepath.Join(config, "release")
	t.Cleanup(func() { try("destroy", "--force", "--if-exists", vps) })
	must(t, "--config-dir", config, "create", vps, "--template", "busybox", "--network", "none")
	must(t, "--config-dir", config, "start", "--wait", vps)
	script := "#!/bin/sh\n[ $1 = post-start ] || exit 0\necho $$ >" + runs + "\nwhile [ ! -e " + release + " ]; do sleep 0.1; done\nrm " + runs + "\n"
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(release, nil, 0o600) })
	try("exec", vps, "--", "reboot") // it may end before it can answer
	eventually(t, "the hook of the reboot runs", func() bool { return exists(runs) })
	must(t, "stop", "--fast", vps)
	must(t, "start", "--wait", vps)
	if !exists(runs) {
		t.Error("the hook has ended")
	}
	must(t, "stop", "--fast", vps)
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hook ends", func() bool { return !exists(runs) })
}
