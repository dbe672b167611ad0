//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A trace has the steps of a command, of the monitor that it starts, and what libcontainer
// logs. The monitor's log and the VPS's environment do not.
func TestTrace(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none")
	file := filepath.Join(t.TempDir(), "trace.json")
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	start := command(ctx, "start", "--wait", vps)
	start.Env = append(start.Env, "CROFT_TRACE="+file)
	if r := finish(start, start.Args); r.status != 0 || r.errOut != "" {
		t.Fatal(r)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name string  `json:"name"`
		PID  int     `json:"pid"`
		Dur  float64 `json:"dur"`
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(string(text), ",\n")+"]"), &events); err != nil {
		t.Fatalf("%v:\n%s", err, shorten(string(text)))
	}
	monitor := inspect(t, vps).MonitorPID
	for what, of := range map[string]func(name string, pid int) bool{
		"start the VPS":                 func(n string, pid int) bool { return n == "start the VPS" && pid != monitor },
		"mount the root filesystem":     func(n string, pid int) bool { return n == "mount the root filesystem" && pid == monitor },
		"what the first process logged": func(n string, pid int) bool { return strings.HasPrefix(n, "libcontainer: nsexec") && pid == monitor },
	} {
		found := false
		for _, e := range events {
			found = found || of(e.Name, e.PID)
		}
		if !found {
			t.Errorf("the trace does not have: %s\n%s", what, shorten(string(text)))
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if log, err := os.ReadFile(filepath.Join(world.root, "vps", vps, "log", "monitor.log")); err != nil || strings.Contains(string(log), "nsexec") {
		t.Errorf("the monitor's log: %v, %s", err, log)
	}
	if env := sh(t, vps, "cat /proc/1/environ /proc/self/environ | tr '\\0' '\\n'"); strings.Contains(env, "CROFT_TRACE") {
		t.Errorf("inside there is %s", env)
	}
	// Its monitor writes no more of it.
	must(t, "stop", "--fast", vps)
	if after, err := os.ReadFile(file); err != nil || len(after) != len(text) {
		t.Errorf("after the end of the VPS the trace is %v, %s", err, shorten(string(after)))
	}

	list := command(ctx, "list")
	list.Env = append(list.Env, "CROFT_TRACE="+t.TempDir()+"/missing/file")
	if r := finish(list, list.Args); r.status != 0 || !strings.Contains(r.errOut, "warning: this command writes no trace") {
		t.Error(r)
	}
}
