//go:build vm

package vm

import "testing"

// TestReboots boots the host again and again, after a shutdown and after power
// cuts, with systemd and without. Each time those VPSs run that should.
func TestReboots(t *testing.T) {
	if picked() != "" {
		t.Skip("certain integration tests were asked for: " + picked())
	}
	t.Parallel()
	m := newMachine(t)
	m.boot(t, bootOptions{})
	m.setUp(t)
	m.must(t, `set -e
		systemctl --quiet enable --now croft.service
		for onboot in yes no last; do
			for name in $onboot-on $onboot-off; do
				croft create --template busybox --onboot $onboot $name
			done
			croft start --wait $patient $onboot-on
		done
		croft start last-off
		croft stop $patient last-off
		croft exec yes-on -- sh -c 'echo ::shutdown:/bin/touch /root/shut-down >>/etc/inittab; kill -HUP 1'`)

	m.end(t, "systemctl reboot")
	m.boot(t, bootOptions{})
	m.step(t, "after a shutdown", func(t *testing.T) {
		m.running(t, "last-on yes-off yes-on")
		m.check(t, []check{
			{"systemctl is-system-running", "running"},
			{"croft exec yes-on -- ls /root", "shut-down"},
		})
	})

	m.must(t, "croft stop $patient yes-on && croft start --wait $patient no-on && croft start --wait $patient last-off && croft stop $patient last-on")
	m.cutPower(t)
	m.boot(t, bootOptions{})
	m.step(t, "after a power cut", func(t *testing.T) {
		m.running(t, "last-off yes-off yes-on")
		m.check(t, []check{{"systemctl is-system-running", "running"}})
		m.must(t, "croft start --wait $patient last-on")
	})

	m.cutPower(t)
	m.boot(t, withoutSystemd)
	m.step(t, "with another init", func(t *testing.T) {
		m.running(t, "")
		m.must(t, "/etc/init.d/croft start")
		m.running(t, "last-off last-on yes-off yes-on")
		m.must(t, "/etc/init.d/croft stop")
		m.running(t, "")
		m.check(t, []check{{"find /sys/fs/cgroup -mindepth 1 -type d", ""}})
	})
	m.off(t, "poweroff -f -f")
}

// running sees which VPSs run when the host has booted.
func (m *machine) running(t *testing.T, want string) {
	t.Helper()
	m.check(t, []check{{`test ! -e /run/systemd || systemctl is-system-running --wait >/dev/null
		echo $(croft list --quiet --filter status=running)`, want}})
}
