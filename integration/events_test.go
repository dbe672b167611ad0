//go:build integration

package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

type event struct {
	Time        time.Time
	Event, Name string
	Attributes  map[string]string
}

// events returns the events of a VPS.
func events(t *testing.T, vps string, options ...string) []event {
	t.Helper()
	var all []event
	for line := range strings.Lines(must(t, append([]string{"events", "--json", vps}, options...)...)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// A life of a VPS leaves its events, also those that only its monitor sees, in the
// order in which they were.
func TestEvents(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none", "--memory", "64M", "--swap", "0", "--pids", "200", "--restart", "on-failure")
	must(t, "start", "--wait", vps)
	reboot(t, vps)

	// The kernel kills a process inside, and the VPS runs on.
	sh(t, vps, "dd if=/dev/zero of=/dev/null bs=200M count=1 || true")
	eventually(t, "the lack of memory is told", func() bool { return len(events(t, vps, "--filter", "event=oom")) > 0 })
	if e := events(t, vps, "--filter", "event=oom")[0]; e.Attributes["total"] == "" || e.Attributes["total"] == "0" {
		t.Errorf("%+v", e)
	}
	must(t, "stop", vps)

	// A limit that is lowered while it runs is only that of its cgroup.
	must(t, "start", "--wait", vps)
	must(t, "set", vps, "--pids", "20")
	try("exec", vps, "--", "sh", "-c", "for n in $(seq 40); do sleep 60 >/dev/null 2>&1 & done") // the shell ends when it cannot fork
	must(t, "kill", vps)
	if len(events(t, vps, "--filter", "limit=pids")) == 0 { // with cgroups of version 1 only now
		t.Error("the limit is not told")
	}
	must(t, "destroy", vps)

	var got []string
	for _, e := range events(t, vps) {
		if e.Event == "booted" || e.Event == "oom" || e.Event == "limit" { // how often is up to the kernel, and to who waits
			continue
		}
		text := e.Event
		if reason := e.Attributes["reason"]; reason != "" {
			text += " " + reason
		}
		if e.Attributes["requested"] == "yes" {
			text += " on request"
		}
		got = append(got, text)
	}
	want := "created, started, stopped rebooted, rebooted, stopped halted on request, started, changed, stopped killed on request, destroyed"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("events are %s,\nand not    %s", text, want)
	}
	if len(events(t, vps, "--filter", "event=booted")) == 0 {
		t.Error("that it has booted is not told")
	}
}
