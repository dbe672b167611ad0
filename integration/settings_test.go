//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// settingsFile writes a file for croft, which only root can write.
func settingsFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Defaults and profiles set the options of new VPSs, by precedence.
func TestProfiles(t *testing.T) {
	hostAsBefore(t)
	config := t.TempDir()
	settingsFile(t, filepath.Join(config, "croft.yaml"), "defaults:\n  template: busybox\n  network: none\n  memory: 128M\n  label: {from: defaults}\n")
	settingsFile(t, filepath.Join(config, "profiles", "small.yaml"), "memory: 64M\npids: 50\nlabel: {size: small}\n")
	vps := name(t, "profiles")
	r := try("create", "--config-dir", config, "--profile", "small", "--pids", "60", vps)
	t.Cleanup(func() { destroy(t, vps) })
	if r.status != 0 || !strings.Contains(r.errOut, "template busybox, from "+filepath.Join(config, "croft.yaml")+":2") {
		t.Fatal(r)
	}
	got := must(t, "list", "--no-header", "--columns", "template,memory,pids,labels", "--filter", "name="+vps)
	if want := "busybox 64M 60 from=defaults,size=small"; strings.Join(strings.Fields(got), " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if out := must(t, "run", "--rm", "--config-dir", config, "--", "hostname"); out == "" {
		t.Error("run with defaults said nothing")
	}
	refused(t, 3, "no profile \"big\"", "create", "--config-dir", config, "--profile", "big", vps)
}

// Settings come from a file, and from an editor; a line that is removed restores the
// default.
func TestSettingsFromFiles(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "256M", "--label", "old=1")
	file := settingsFile(t, filepath.Join(t.TempDir(), "web.yaml"), "memory: 128M\nlabel: {tier: web}\ncpus: 0.5\nip:\n")
	refusedFile := settingsFile(t, filepath.Join(t.TempDir(), "bad.yaml"), "memory: 64M\ncpus: many\n")
	refused(t, 2, refusedFile+":2: cpus: invalid number", "set", vps, "--file", refusedFile)
	look := func() string {
		t.Helper()
		return strings.Join(strings.Fields(must(t, "list", "--no-header", "--columns", "memory,cpus,labels,addresses", "--filter", "name="+vps)), " ")
	}
	before := look()
	if !strings.HasPrefix(before, "256M unlimited old=1 ") && !strings.HasPrefix(before, "256M - old=1 ") {
		t.Errorf("a refused file changed something: %s", before)
	}
	must(t, "set", vps, "-f", file)
	if got := look(); !strings.HasPrefix(got, "128M 0.5 tier=web") {
		t.Errorf("after --file: %s", got)
	}
	must(t, "set", vps, "-f", file) // twice changes nothing
	if out := in(t, vps, "ip", "-4", "-o", "addr", "show", "dev", "eth0"); out != "" {
		t.Errorf("the file removed all addresses, and inside is %s", out)
	}

	edit := func(script string) result {
		cmd := command(context.Background(), "edit", vps)
		cmd.Env = append(cmd.Env, "EDITOR="+script)
		return finish(cmd, []string{"edit", vps})
	}
	if r := edit("sed -i -e /^cpus/d -e s/128M/96M/"); r.status != 0 || r.out != "" {
		t.Error(r)
	}
	if got := look(); !strings.HasPrefix(got, "96M unlimited tier=web") && !strings.HasPrefix(got, "96M - tier=web") {
		t.Errorf("after edit: %s", got)
	}
	r := edit("sed -i s/96M/1Q/")
	_, path, kept := strings.Cut(strings.TrimSpace(strings.Split(r.errOut, "\n")[0]), "your text is in ")
	if r.status != 2 || !kept {
		t.Fatal(r)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "memory: 1Q") {
		t.Errorf("the text of a refused edit: %v, %s", err, text)
	}
	if err := os.Remove(path); err != nil {
		t.Error(err)
	}
}

// A change with --at-restart is shown as pending, and takes effect at the next start.
func TestSetAtRestart(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "256M")
	limit := func() string {
		t.Helper()
		return strings.Join(strings.Fields(must(t, "stats", "--interval", "0", "--no-header", "--columns", "limit", vps)), "")
	}
	r := try("set", vps, "--at-restart", "--memory", "128M", "--label", "a=b")
	if r.status != 0 || !strings.Contains(r.errOut, "takes effect at its next start: memory") {
		t.Error(r)
	}
	if got := limit(); got != "256M" {
		t.Errorf("the limit is %s before the restart", got)
	}
	if got := must(t, "status", "--no-header", "--wide", vps); !strings.Contains(got, "pending: memory") {
		t.Errorf("status: %s", got)
	}
	if got := must(t, "inspect", vps); !strings.Contains(got, `"memory"`) {
		t.Errorf("inspect shows no pending memory: %s", got)
	}
	refused(t, 2, "always change at once", "set", vps, "--at-restart", "--ip-add", "10.90.200.200")
	must(t, "restart", "--wait", vps)
	if got := limit(); got != "128M" {
		t.Errorf("the limit is %s after a restart", got)
	}
	if got := must(t, "status", "--no-header", "--wide", vps); strings.Contains(got, "pending") {
		t.Errorf("status after it: %s", got)
	}
}

// Fifty commands that change one VPS at the same time lose nothing.
func TestParallelSets(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			if r := try("--lock-timeout", "5m", "set", vps, "--label", fmt.Sprintf("l%d=%d", n, n), "--env", fmt.Sprintf("E%d=%d", n, n), "--pids", fmt.Sprint(1000+n)); r.status != 0 {
				t.Error(r)
			}
		})
	}
	all.Wait()
	labels := must(t, "list", "--no-header", "--wide", "--columns", "labels", "--filter", "name="+vps)
	must(t, "restart", "--wait", vps)
	env := in(t, vps, "cat", "/proc/1/environ")
	for n := range 50 {
		if !strings.Contains(labels, fmt.Sprintf("l%d=%d", n, n)) || !strings.Contains(env, fmt.Sprintf("E%d=%d\x00", n, n)) {
			t.Errorf("the change of command %d is lost", n)
		}
	}
}
