//go:build integration

package integration

import (
	"os"
	"strings"
	"testing"
)

// Root inside is root of the host, and still reaches none of the host's own
// settings, devices or processes.
func TestPrivileged(t *testing.T) {
	hostAsBefore(t)
	corePattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	vps := boot(t, "debian-13", "--privileged")
	bootedClean(t, vps, "debian-13")
	if got := in(t, vps, "cat", "/proc/self/uid_map"); strings.Fields(got)[1] != "0" {
		t.Errorf("it has a user namespace: %s", got)
	}
	for _, script := range []string{
		"echo croft >/proc/sys/kernel/core_pattern",
		"echo h >/proc/sysrq-trigger",
		"cat /proc/kcore",
		"mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk",
	} {
		if r := try("exec", vps, "--", "sh", "-c", script); r.status == 0 {
			t.Errorf("%s: %v", script, r)
		}
	}
	sh(t, vps, "echo 1 >/proc/sys/net/ipv4/ip_forward")
	if now, err := os.ReadFile("/proc/sys/kernel/core_pattern"); err != nil || string(now) != string(corePattern) {
		t.Errorf("the host's core_pattern is %q, %v", now, err)
	}
	must(t, "restart", vps, "--wait")
	bootedClean(t, vps, "debian-13")
	must(t, "stop", vps)
	refused(t, 2, "no ids of its own", "create", name(t, "p"), "--template", "busybox", "--privileged", "--id-size", "131072")
}
