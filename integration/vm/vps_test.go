//go:build vm

package vm

import (
	"strings"
	"testing"
)

// setUp installs croft as an administrator would, and puts the templates in
// the place that croft has by default. Both are still there after a reboot.
func (m *machine) setUp(t *testing.T) {
	t.Helper()
	m.must(t, `set -e
		cp -R /croft/installed/. /
		mkdir -p /var/lib/croft
		echo "$(echo /var/cache/croft-test/*/root) /var/lib/croft none bind 0 0" >>/etc/fstab
		mount /var/lib/croft`)
}

// A check is a script of sh and what it has to print.
type check struct{ script, want string }

func (m *machine) check(t *testing.T, checks []check) {
	t.Helper()
	for _, c := range checks {
		if out, _ := m.try(t, c.script); out != c.want {
			t.Errorf("%s: %q, not %q", c.script, out, c.want)
		}
	}
}

// limits boots a VPS with limits, and sees them in the files of its cgroup dir,
// which are the guest's to divide.
func (m *machine) limits(t *testing.T, dir string) {
	m.must(t, "croft create --template debian-13 --memory 512M --swap 0 --pids 300 --cpus 1.5 web && croft start --wait $patient web")
	m.check(t, []check{
		{"croft exec web -- systemctl is-system-running --wait", "running"},
		{"cd " + dir + " && cat memory.max memory.swap.max pids.max cpu.max", "536870912\n0\n300\n150000 100000"},
		{"cd " + dir + " && stat -c %u memory.max", "0"},
		{"cd " + dir + " && test $(stat -c %u cgroup.subtree_control) = $(stat -c %u init.scope) && echo same", "same"},
		{"croft exec web -- sh -c 'cut -d : -f 3 /proc/1/cgroup'", "/init.scope"},
		{"croft exec web -- systemd-run --quiet --pipe --collect --property MemoryMax=32M " +
			"sh -c 'cat /sys/fs/cgroup$(cut -d : -f 3 /proc/self/cgroup)/memory.max'", "33554432"},
		{"croft exec web -- systemd-run --wait --collect --property MemoryMax=32M tail /dev/zero 2>&1 | grep -o 'result: .*'", "result: oom-kill"},
		{"croft exec web -- systemctl is-system-running", "running"},
	})
}

// works sees that VPSs run as before, whatever has happened to the host.
func (m *machine) works(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		m.check(t, []check{{"croft exec " + name + " -- sh -c 'echo works >/dev/null && hostname'", name}})
	}
}

// bootsClean boots a VPS of a template, and sees that all of it has come up and
// goes down by its own shutdown.
func (m *machine) bootsClean(t *testing.T, template string) {
	t.Helper()
	name, _, _ := strings.Cut(template, " ")
	clean := check{"croft exec clean -- systemctl is-system-running --wait", "running"}
	switch {
	case name == "busybox":
		clean = check{"croft exec clean -- cat /proc/1/comm", "init"}
	case strings.HasSuffix(name, "-sysvinit"):
		clean = check{"croft exec clean -- runlevel", "N 2"}
	case strings.HasSuffix(name, "-openrc"):
		clean = check{"croft exec clean -- rc-status --runlevel; croft exec clean -- rc-status --all | grep -c crashed", "default\n0"}
	}
	t.Cleanup(func() { m.destroy(t, "clean") })
	m.must(t, "croft create --template "+template+" clean && croft start --wait=network $patient clean")
	m.check(t, []check{
		clean,
		{"croft stop $patient clean && croft list --no-header --columns ended --filter name=clean", "powered off"},
	})
}

// destroy removes VPSs, those that a failed test left too. A test registers it
// as a clean-up before it creates them.
func (m *machine) destroy(t *testing.T, names ...string) {
	t.Helper()
	if m.qemu == nil {
		return // they are on disks that are removed
	}
	if out, status := m.try(t, "croft destroy --force --if-exists "+strings.Join(names, " ")); status != 0 {
		t.Errorf("destroy: exit %d\n%s", status, out)
	}
}
