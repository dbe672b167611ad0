//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
)

// --cap-drop and --cap-add change the capabilities of init and of every command beside
// it, from the next start on.
func TestSetCapabilities(t *testing.T) {
	hostAsBefore(t)
	// croft sets this limit also if init does not have the capability for it.
	vps := create(t, "busybox", "--network", "none", "--cap-drop", "net_raw", "--cap-drop", "SYS_RESOURCE", "--cap-add", "CAP_SYS_TIME",
		"--sysctl", "user.max_net_namespaces=7")
	must(t, "start", "--wait", vps)
	const (
		normal = 0x1dcbdfcffff // all but SYS_MODULE, SYS_RAWIO, SYS_TIME, AUDIT_CONTROL, AUDIT_READ and MAC_*
		raw    = 1 << 13
		rsrc   = 1 << 24
		clock  = 1 << 25
	)
	both := func(when, want string) {
		t.Helper()
		for _, process := range []string{"1", "self"} {
			got := strings.Fields(sh(t, vps, "grep -E 'Cap(Prm|Eff|Bnd)' /proc/"+process+"/status | cut -f2"))
			if strings.Join(got, " ") != strings.Join([]string{want, want, want}, " ") {
				t.Errorf("%s: process %s has %v, not %s", when, process, got, want)
			}
		}
		if got := sh(t, vps, "cat /proc/sys/user/max_net_namespaces"); got != "7" {
			t.Errorf("%s: the sysctl is %s", when, got)
		}
	}
	first := mask(normal&^raw&^rsrc | clock)
	both("after the first start", first)
	must(t, "set", vps, "--cap-drop", "-NET_RAW", "--cap-drop", "ALL", "--cap-drop", "-sys_resource", "--cap-add", "chown", "--cap-add", "-SYS_TIME")
	if got := must(t, "list", "--no-header", "--columns", "pending", vps); got != "cap-add,cap-drop" {
		t.Errorf("pending is %q", got)
	}
	both("before a restart", first)
	must(t, "restart", "--wait", vps)
	both("after a restart", mask(1))
	refused(t, 2, "CHOWN is both added", "set", vps, "--cap-drop", "CHOWN")
	if got := must(t, "inspect", vps); !strings.Contains(strings.Join(strings.Fields(got), ""), `"capAdd":["CHOWN"],"capDrop":["ALL"]`) {
		t.Errorf("inspect shows %s", got)
	}
	must(t, "set", vps, "--cap-drop", "-ALL", "--cap-add", "-CHOWN")
	must(t, "restart", "--wait", vps)
	both("by default", mask(normal))
}

func mask(caps uint64) string { return fmt.Sprintf("%016x", caps) }
