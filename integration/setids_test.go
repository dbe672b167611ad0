//go:build integration

package integration

import (
	"strings"
	"testing"
)

// The number of user ids of a VPS can change: fewer while it is stopped, more at its next
// start.
func TestSetIDSize(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none", "--id-size", "262144")
	size := func() string {
		t.Helper()
		fields := strings.Fields(in(t, vps, "cat", "/proc/self/uid_map"))
		return fields[len(fields)-1]
	}
	must(t, "start", vps)
	sh(t, vps, "touch /root/low /root/high && chown 200000 /root/high")
	refused(t, 5, "stop it first", "set", vps, "--id-size", "131072")
	must(t, "stop", "--fast", vps)
	refused(t, 5, "/root/high", "set", vps, "--id-size", "131072")
	must(t, "start", vps)
	sh(t, vps, "chown 7 /root/high")
	must(t, "stop", "--fast", vps)
	must(t, "set", vps, "--id-size", "131072", "--privileged", "no")
	must(t, "start", vps)
	if got := size(); got != "131072" {
		t.Errorf("it has %s ids", got)
	}
	if got := strings.Fields(sh(t, vps, "stat -c %u /root/low /root/high")); len(got) != 2 || got[0] != "0" || got[1] != "7" {
		t.Errorf("its files have the owners %v", got)
	}
	refused(t, 5, "template", "set", vps, "--privileged", "yes")
	refused(t, 4, "template", "set", vps, "--id-size", "2147418112")
	must(t, "set", vps, "--id-size", "196608")
	if got := must(t, "list", "--no-header", "--columns", "pending", vps); strings.TrimSpace(got) != "id-size" {
		t.Errorf("pending is %s", got)
	}
	must(t, "restart", "--fast", vps)
	if got := size(); got != "196608" {
		t.Errorf("after a restart it has %s ids", got)
	}
}
