//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What the host gives a VPS does not look like a filesystem that can fill up.
func TestDiskFreeInside(t *testing.T) {
	hostAsBefore(t)
	for _, template := range []string{"busybox", "debian-13"} {
		vps := boot(t, template, "--network", "none")
		for line := range strings.Lines(in(t, vps, "df")) {
			fields := strings.Fields(line)
			at := fields[len(fields)-1]
			if strings.HasPrefix(at, "/run/host/") || strings.HasPrefix(at, "/proc/") || strings.HasPrefix(at, "/dev/") && at != "/dev/shm" {
				t.Errorf("%s: %s", template, line)
			}
		}
	}
}

// rsyslogd starts without a complaint and writes the kernel messages of the VPS. Without such
// messages it waits, also when the VPS has another monitor.
func TestKernelLog(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "debian-13-containers", "--network", "none")
	written := func(what string) {
		t.Helper()
		eventually(t, "rsyslogd writes "+what, func() bool {
			return try("exec", vps, "--", "grep", "-q", what, "/var/log/syslog").status == 0
		})
		if got := sh(t, vps, "grep -E 'imklog|kmsg' /var/log/syslog || true"); got != "" {
			t.Errorf("rsyslogd says %s", got)
		}
	}
	written("croft: VPS " + vps + " has started")
	must(t, "set", vps, "--dmesg", "off")
	must(t, "restart", "--wait", vps)
	sh(t, vps, "logger of-the-test")
	written("of-the-test")
	waits := func(when string) {
		t.Helper()
		r := try("exec", vps, "--", "dd", "if=/proc/kmsg", "iflag=nonblock", "count=1")
		if r.status == 0 || !strings.Contains(r.errOut, "temporarily unavailable") {
			t.Errorf("%s a reader does not wait: %s", when, r)
		}
		if r := try("exec", "--user", "nobody", vps, "--", "cat", "/proc/kmsg"); !strings.Contains(r.errOut, "Permission denied") {
			t.Errorf("%s another user reads: %s", when, r)
		}
	}
	waits("at first")
	before := inspect(t, vps)
	if err := syscall.Kill(before.MonitorPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// As where an older croft has started it.
	if err := os.RemoveAll(filepath.Join(world.run, "vps", vps, "given")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has another monitor", func() bool {
		i := inspect(t, vps)
		return i.Status == "running" && i.MonitorPID != 0 && i.MonitorPID != before.MonitorPID // 0 while it prepares
	})
	waits("with another monitor")
}
