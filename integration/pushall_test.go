//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The scripts of docs/guide/backups.md push all VPSs of a host and restore them on
// another one. Those that exist are left out.
func TestRestoreAllOfAHost(t *testing.T) {
	hostAsBefore(t)
	r := startRegistry(t)
	dir := t.TempDir()
	guide, err := os.ReadFile("../docs/guide/backups.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(guide), "```bash\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		_, name, _ := strings.Cut(text, "\n# ")
		name, _, _ = strings.Cut(name, " ")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	wrapper := "#!/bin/sh\nexec " + world.croft + " --root \"$SITE/root\" --run-dir \"$SITE/run\" \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "croft"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	on := func(s *site, status int, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(dir, args[0]), args[1:]...)
		cmd.Env = append(r.env, "PATH="+dir+":"+os.Getenv("PATH"), "SITE="+filepath.Dir(s.root))
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
			t.Fatalf("%q: %v\n%s\n%s", args, err, out, &said)
		}
		return string(out)
	}
	from, to := newSite(t), newSite(t)
	var names []string
	for range 3 {
		name := from.vps("busybox", "--label", "a=b")
		names = append(names, name)
		from.must("start", name)
		from.must("exec", name, "--", "sh", "-c", "hostname >/srv/name")
	}
	list := filepath.Join(dir, "backups.txt")
	if err := os.WriteFile(list, []byte(on(from, 0, "push-all", r.host+"/backups")), 0o600); err != nil {
		t.Fatal(err)
	}
	from.must("destroy", "--force", "--all")
	for range 2 {
		on(to, 0, "restore-all", list)
	}
	to.wantRunning("after the restore", names...)
	for _, name := range names {
		if got := strings.TrimSpace(to.must("exec", name, "--", "cat", "/srv/name").out); got != name {
			t.Errorf("%s has %q", name, got)
		}
		if got := to.inspect(name); got.Labels["a"] != "b" {
			t.Errorf("it is %+v", got)
		}
	}
	missing := filepath.Join(dir, "missing.txt")
	if err := os.WriteFile(missing, []byte(r.host+"/backups:missing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	on(to, 123, "restore-all", missing)
}
