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
