//go:build integration

package integration

import (
	"runtime"
	"testing"
)

// A VPS with a number of CPUs sees as many, and two VPSs do not share one while there is
// another. A change chooses anew, and inspect shows the choice.
func TestChosenCPUs(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none", "--cpuset", "any:1")
	other := boot(t, "busybox", "--network", "none", "--cpuset", "any:1")
	sees := func(vps, want string) (cpu string) {
		t.Helper()
		cpu = inspect(t, vps).PinnedCPUs
		if got := sh(t, vps, "nproc; grep -c ^processor /proc/cpuinfo; cat /sys/devices/system/cpu/online"); got != want+"\n"+want+"\n"+cpu {
			t.Errorf("%s, which should have %s CPUs and has %q, sees %q", vps, want, cpu, got)
		}
		return cpu
	}
	first, second := sees(vps, "1"), sees(other, "1")
	if runtime.NumCPU() < 2 {
		return
	}
	if first == second {
		t.Errorf("both have CPU %s", first)
	}
	must(t, "set", other, "--cpuset", first)
	must(t, "set", vps, "--memory", "100M")
	if got := sees(vps, "1"); got != first {
		t.Errorf("another change moved it from CPU %s to %s", first, got)
	}
	must(t, "restart", vps)
	if got := sees(vps, "1"); got == first {
		t.Errorf("after a restart both have CPU %s", got)
	}
	must(t, "set", vps, "--cpuset", "any:2")
	sees(vps, "2")
	if got := must(t, "list", "--no-header", "--columns", "cpuset", "--filter", "name="+vps); got != "any:2" {
		t.Errorf("the setting is %q", got)
	}
	refused(t, 2, "does not have 8000 CPUs", "set", vps, "--cpuset", "any:8000")
	refused(t, 2, "any:2 for two CPUs", "set", vps, "--cpuset", "count:2")
	must(t, "stop", "--fast", vps)
	if got := inspect(t, vps).PinnedCPUs; got != "" {
		t.Errorf("a stopped VPS has CPUs %s", got)
	}
}
