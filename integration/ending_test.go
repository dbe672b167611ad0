//go:build integration

package integration

import (
	"os"
	"strings"
	"testing"
	"time"
)

// A VPS that ends because the kernel killed its init, or the program that
// croft's own init runs, for want of memory, says so. An end by something else does not.
func TestEndedOutOfMemory(t *testing.T) {
	hostAsBefore(t)
	// The kernel kills what has the highest score first: none of those that
	// hold the memory.
	const hog = `echo 1000 >/proc/%/oom_score_adj && dd if=/dev/zero of=/dev/null bs=24M & exec dd if=/dev/zero of=/dev/null bs=24M`
	for kind, c := range map[string]struct {
		template, victim string
		reason           string
	}{
		"system":      {"busybox", "1", "killed"},
		"application": {applicationImage(t), "$(pidof entry || echo 2)", "exited"},
	} {
		vps := create(t, c.template, "--memory", "32M", "--swap", "0", "--network", "none")
		must(t, "start", "--wait", vps)
		try("exec", "--user", "0", vps, "--", "sh", "-c", strings.ReplaceAll(hog, "%", c.victim))
		must(t, "wait", "--for", "stopped", "--timeout", slow(time.Minute).String(), vps)
		i := inspect(t, vps)
		if i.LastEnd == nil || !i.LastEnd.OutOfMemory || i.LastEnd.Reason != c.reason || i.LastEnd.Status != 137 ||
			!strings.Contains(i.LastEnd.Detail, "run out of memory") {
			t.Errorf("%s: it ended so: %+v", kind, i.LastEnd)
		}
		if log, err := os.ReadFile(i.MonitorLog); err != nil || !strings.Contains(string(log), "run out of memory") {
			t.Errorf("%s: the log of its monitor: %s%v", kind, log, err)
		}
		for _, args := range [][]string{{"list", "-c", "ended"}, {"status", "--format", "csv"}} {
			if got := must(t, append(args, "--no-header", vps)...); !strings.Contains(got, "killed: out of memory") {
				t.Errorf("%s: %v: %s", kind, args, got)
			}
		}
		must(t, "start", vps)
		must(t, "kill", vps)
		if end := inspect(t, vps).LastEnd; end == nil || end.OutOfMemory {
			t.Errorf("%s: after a kill it ended so: %+v", kind, end)
		}
	}
}
