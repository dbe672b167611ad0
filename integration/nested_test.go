//go:build integration

package integration

import (
	"strings"
	"testing"
)

// A VPS with enough ids makes, runs and stops a VPS of its own. What the kernel allows only
// to root of the machine is left out there, and limits without a controller are refused.
func TestCroftInCroft(t *testing.T) {
	hostAsBefore(t)
	outer := boot(t, "busybox", "--network", "none", "--id-size", "2097152")
	must(t, "cp", world.croft, outer+":/usr/bin/croft")
	inner := func(command string) string {
		t.Helper()
		return sh(t, outer, "set -e; croft() { command croft --root /srv/croft \"$@\"; }; "+command)
	}
	inner("mkdir -p /srv/croft; mount -t tmpfs -o mode=755 tmpfs /srv/croft; croft create --template busybox --network none inner 2>&1; croft start --wait inner")
	if got := strings.Fields(inner("croft exec inner -- sh -c 'id -u; cat /proc/1/comm; cat /proc/self/uid_map'")); strings.Join(got, " ") != "0 init 0 1048576 262144" {
		t.Errorf("inside: %q", got)
	}
	if got := inner("croft host check | grep -E '(user namespaces|idmapped mounts) ' || true"); strings.Contains(got, "missing") || !strings.Contains(got, "user namespaces") {
		t.Errorf("host check inside: %s", got)
	}
	if controllers := in(t, outer, "cat", "/sys/fs/cgroup/cgroup.controllers"); !strings.Contains(controllers, "memory") {
		if got := inner("croft create --template busybox --network none --memory 64M limited 2>&1 || true"); !strings.Contains(got, "cannot set --memory: this host's kernel has no cgroup controller of memory") {
			t.Errorf("a limit that cannot be: %s", got)
		}
	}
	inner("croft stop inner; croft destroy inner; umount /srv/croft")
}
