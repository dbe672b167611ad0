//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Limits of a running VPS change at once, hold for the processes that run
// already, and are kept over a restart.
func TestSetLimits(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "256M")
	must(t, "set", vps, "--memory", "64M", "--swap", "0", "--cpus", "0.5", "--pids", "60", "--label", "tier=web")
	limits := func() string {
		t.Helper()
		var all []struct {
			CPU    struct{ LimitMilliCPUs int64 } `json:"cpu"`
			Memory struct{ LimitBytes uint64 }    `json:"memory"`
			PIDs   struct{ Limit uint64 }         `json:"pids"`
		}
		if err := json.Unmarshal([]byte(must(t, "stats", "--json", vps)), &all); err != nil || len(all) != 1 {
			t.Fatalf("%v, %+v", err, all)
		}
		return fmt.Sprint(all[0].Memory.LimitBytes, all[0].CPU.LimitMilliCPUs, all[0].PIDs.Limit)
	}
	const want = "67108864 500 60"
	if got := limits(); got != want {
		t.Errorf("limits %q, want %q", got, want)
	}
	if r := try("exec", vps, "--", "sh", "-c", "for i in $(seq 100); do sleep 30 & done; wait"); r.status == 0 || !strings.Contains(r.errOut, "fork") {
		t.Errorf("more than 60 processes: %s", r)
	}
	// Content of a tmpfs cannot be reclaimed without swap.
	must(t, "set", vps, "--memory", "128M", "--pids", "200")
	sh(t, vps, "pkill sleep; true")
	sh(t, vps, "dd if=/dev/zero of=/dev/shm/full bs=1M count=40 2>/dev/null")
	refused(t, 5, "are in use", "set", vps, "--memory", "16M", "--pids", "300")
	if got := limits(); got != "134217728 500 200" {
		t.Errorf("after a change that was refused: %q", got)
	}
	// The file cache can be.
	sh(t, vps, "rm /dev/shm/full && dd if=/dev/zero of=/root/cached bs=1M count=60 2>/dev/null")
	must(t, "set", vps, "--memory", "32M")
	must(t, "restart", "--wait", vps)
	if got := limits(); got != "33554432 500 200" {
		t.Errorf("after a restart: %q", got)
	}
	must(t, "set", vps, "--memory", "unlimited", "--cpus", "unlimited", "--pids", "unlimited", "--swap", "unlimited", "--label", "-tier")
	if got := limits(); got != "0 0 0" {
		t.Errorf("without limits: %q", got)
	}
	if got := must(t, "list", "--json", "--filter", "label=tier"); got != "[]" {
		t.Errorf("the label is still there: %s", got)
	}
	refused(t, 2, "at least 4M", "set", vps, "--memory", "1M")
	must(t, "stop", "--fast", vps)
	must(t, "set", vps, "--memory", "default", "--pids", "100")
	must(t, "start", vps)
	if got := strings.Fields(limits()); len(got) != 3 || got[0] == "0" || got[2] != "100" {
		t.Errorf("defaults: %q", got)
	}
}

// Settings that a running VPS cannot change are saved, named, shown until its next
// start, and there afterwards.
func TestSetPending(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--env", "OLD=1")
	pending := func() string { return must(t, "list", "--no-header", "--columns", "pending", "--filter", "name="+vps) }
	if got := pending(); got != "" && got != "-" {
		t.Errorf("pending: %q", got)
	}
	r := try("set", vps, "--hostname", "other.example", "--env", "NEW=2", "--env", "-OLD", "--sysctl", "net.ipv4.tcp_keepalive_time=77",
		"--dns", "192.0.2.53")
	if r.status != 0 || !strings.Contains(r.errOut, "takes effect at its next start: hostname, env, sysctl") {
		t.Errorf("%s", r)
	}
	if got := pending(); got != "hostname,env,sysctl" {
		t.Errorf("pending: %q", got)
	}
	if got := in(t, vps, "cat", "/etc/resolv.conf"); !strings.Contains(got, "192.0.2.53") {
		t.Errorf("resolv.conf: %s", got)
	}
	refused(t, 2, "sysctl", "set", vps, "--sysctl", "kernel.panic=1")
	const look = "hostname; cat /proc/sys/net/ipv4/tcp_keepalive_time; tr '\\0' '\\n' </proc/1/environ | grep -e NEW -e OLD"
	must(t, "restart", "--wait", vps)
	if got := sh(t, vps, look); got != "other.example\n77\nNEW=2" {
		t.Errorf("after a restart:\n%s", got)
	}
	if got := pending(); got != "" && got != "-" {
		t.Errorf("pending after a restart: %q", got)
	}
}
