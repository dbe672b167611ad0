//go:build vm

package vm

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The integration tests that a short run has: those whose result can differ
// from host to host. Emulation turns seconds into minutes. OpenRC is the slowest
// guest, because it reads all its scripts at each boot: a short run boots it once.
const (
	shortSystemd = "^(TestPauseAndResume|TestKilledMonitor|TestFirewallInside|TestLimits|TestSetLimits|TestSetResources|TestSystemdKeepsResources|TestOwnView|TestKilledForMemory|TestRefusedProcessesAreMessages|TestDoctor|TestDevices|TestDiskQuota|TestDiskImageGrowsLive|TestDebian|" +
		"TestOCILife|TestOCISystemdCgroup|TestOCIHostCgroups)$/^(memory|debian-12|croft_oci|ext4)$"
	shortWithoutSystemd = "^(TestPauseAndResume|TestLimits|TestSetLimits|TestSetResources|TestOwnView|TestDebian)$/^(memory|debian-12-sysvinit)$"
)

// withoutSystemd boots a host that has cgroup v2 and another init.
var withoutSystemd = bootOptions{init: "/sbin/croft-test-init"}

func TestSystemd(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.boot(t, bootOptions{})
	m.check(t, []check{
		{"cat /proc/1/comm", "systemd"},
		{"systemctl is-system-running --wait", "running"},
		{"stat -f -c %T /sys/fs/cgroup", "cgroup2fs"},
		{"grep -c cgroup /proc/mounts", "1"},
		{"cat /sys/module/apparmor/parameters/enabled", "Y"},
		{"systemctl is-active dbus.socket apparmor.service", "active\nactive"},
		{"iptables --version | grep -o '(.*)'", "(nf_tables)"},
	})
	if picked() == "" {
		m.setUp(t)
		m.step(t, "host check", m.hostCheck)
		m.step(t, "limits", func(t *testing.T) { m.limits(t, "/sys/fs/cgroup/croft.slice/croft-web.scope") })
		m.step(t, "scopes", m.scopes)
		m.step(t, "left alone", m.leftAlone)
		m.step(t, "privileged", m.privileged)
		m.step(t, "openrc", func(t *testing.T) { m.bootsClean(t, "debian-12-openrc") })
		m.step(t, "nothing left", m.nothingLeft)
	}
	m.step(t, "integration", func(t *testing.T) { m.integration(t, shortSystemd) })
	m.off(t, "systemctl poweroff")
}

// hostCheck sees that croft says of this host that all is there.
func (m *machine) hostCheck(t *testing.T) {
	out, status := m.try(t, "croft host check")
	if status != 0 {
		t.Errorf("exit %d", status)
	}
	t.Log(out)
}

// scopes sees that systemd's tools know a VPS by its name.
func (m *machine) scopes(t *testing.T) {
	m.check(t, []check{
		{"systemctl show -P Slice -P Delegate -P ActiveState croft-web.scope", "croft.slice\nyes\nactive"},
		{"systemctl status --no-pager croft-web.scope | grep -o 'CGroup: .*'", "CGroup: /croft.slice/croft-web.scope"},
		{"systemd-cgls --no-pager --unit croft.slice | grep -o 'croft-web.scope'", "croft-web.scope"},
	})
}

// leftAlone sees that nobody who does something to the host does it to VPSs.
func (m *machine) leftAlone(t *testing.T) {
	// The end of a service, as of a login's session, kills all that is in it.
	m.must(t, "croft create --template busybox --memory 64M mail")
	m.must(t, "systemd-run --quiet --wait --collect --unit login croft start --wait $patient mail")
	m.works(t, "mail")
	for _, act := range []string{
		"systemctl daemon-reload",
		"systemctl daemon-reexec",
		// Another file, with other contents: package managers do that.
		"cd /usr/bin && cp croft croft.new && echo >>croft.new && mv -f croft.new croft",
	} {
		m.must(t, act)
		m.works(t, "mail", "web")
		m.check(t, []check{
			{"cat /sys/fs/cgroup/croft.slice/croft-mail.scope/memory.max", "67108864"},
			{"cat /sys/fs/cgroup/croft.slice/croft-web.scope/pids.max", "300"},
			{"croft exec web -- systemctl is-system-running", "running"},
		})
	}
	// What begins with the old croft ends with the new one.
	m.must(t, "croft exec mail -- reboot; croft wait $patient --for booted mail")
	m.must(t, "croft stop $patient web && croft stop $patient mail")
	m.check(t, []check{{"croft list --no-header --columns ended | uniq", "powered off"}})
}

func (m *machine) privileged(t *testing.T) {
	m.bootsClean(t, "debian-13 --privileged")
}

// nothingLeft destroys all VPSs and looks for what they leave.
func (m *machine) nothingLeft(t *testing.T) {
	m.must(t, "croft list --quiet | xargs -r croft destroy --force")
	m.check(t, []check{
		{"find /sys/fs/cgroup/croft.slice -mindepth 1 -type d 2>/dev/null", ""},
		{"systemctl list-units --all --plain --no-legend 'croft*.scope'", ""},
		{"systemctl is-system-running", "running"},
	})
}

func TestWithoutSystemd(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.boot(t, withoutSystemd)
	m.check(t, []check{
		{"cat /proc/1/comm", "croft-test-init"},
		{"stat -f -c %T /sys/fs/cgroup", "cgroup2fs"},
		{"grep -c cgroup /proc/mounts", "1"},
		{"test -e /run/systemd; echo $?", "1"},
	})
	if picked() == "" {
		m.setUp(t)
		m.step(t, "host check", m.hostCheck)
		m.step(t, "limits", func(t *testing.T) { m.limits(t, "/sys/fs/cgroup/croft/web") })
		m.step(t, "stop", func(t *testing.T) {
			m.must(t, "croft stop $patient web && croft destroy web")
			m.check(t, []check{{"find /sys/fs/cgroup -mindepth 1 -type d", ""}})
		})
		m.step(t, "busybox", func(t *testing.T) { m.bootsClean(t, "busybox") })
		m.step(t, "privileged", m.privileged)
		if !testing.Short() {
			m.step(t, "debian", func(t *testing.T) { m.bootsClean(t, "debian-12") })
			m.step(t, "sysvinit", func(t *testing.T) { m.bootsClean(t, "debian-12-sysvinit") })
		}
	}
	m.step(t, "integration", func(t *testing.T) { m.integration(t, shortWithoutSystemd) })
	m.off(t, "poweroff -f -f")
}

// step is a test in the middle of others that go on with the same machine. A
// machine that was lost in a step before has failed that step.
func (m *machine) step(t *testing.T, name string, do func(t *testing.T)) {
	t.Helper()
	if m.qemu == nil {
		return
	}
	if !t.Run(name, do) && m.qemu != nil {
		m.journal(t)
	}
}

// off ends a machine by a script, unless a step has lost it.
func (m *machine) off(t *testing.T, script string) {
	t.Helper()
	if m.qemu != nil {
		m.end(t, script)
	}
}

// picked is which of the integration tests were asked for, "" if none were:
// then all that this package tests itself is run too.
func picked() string { return os.Getenv("CROFT_VM_RUN") }

// integration runs the integration tests inside, those that short picks where
// time is short, or those that were asked for; what they print is printed.
func (m *machine) integration(t *testing.T, short string) {
	t.Helper()
	limit, options, pattern := time.Hour, "-test.v", picked()
	if os.Getenv("CROFT_GUESTS") != "" { // programs are installed, and used twice
		options = "-test.v -test.short"
	} else if testing.Short() {
		limit, options = 10*time.Minute, "-test.v -test.short"
		if pattern == "" {
			pattern = short
		}
	}
	if pattern != "" {
		options += " -test.run '" + pattern + "'"
	}
	limit = time.Duration(float64(limit) * m.pace.slowness())
	script := fmt.Sprintf("cd integration && CROFT_BIN=/croft/croft CROFT_TEST_CACHE=/var/cache/croft-test CROFT_GUESTS='%s' "+
		"./integration.test -test.timeout %v %s", os.Getenv("CROFT_GUESTS"), limit, options)
	log, err := os.Create(filepath.Join(m.logs, "integration.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// The runner ends the tests itself, and tells which one hangs.
	status := m.stream(t, limit+m.pace.limit(), io.MultiWriter(log, &prefixed{to: os.Stdout, with: t.Name() + ": "}), script)
	if status != 0 {
		t.Errorf("the integration tests: exit %d", status)
	}
}

// journal keeps what the machine says about itself.
func (m *machine) journal(t *testing.T) {
	t.Helper()
	journal, _ := m.try(t, "dmesg; test -e /run/systemd && journalctl --no-pager --boot")
	if err := os.WriteFile(filepath.Join(m.logs, "journal.log"), []byte(journal), 0o644); err != nil {
		t.Error(err)
	}
}

// A prefixed writer begins each line with the name of the test that it is from:
// machines run at the same time. It writes whole lines.
type prefixed struct {
	to   io.Writer
	with string
	rest string
}

func (w *prefixed) Write(p []byte) (int, error) {
	text := w.rest + string(p)
	end := strings.LastIndexByte(text, '\n') + 1
	w.rest = text[end:]
	var lines strings.Builder
	for line := range strings.Lines(text[:end]) {
		lines.WriteString("    " + w.with + line)
	}
	if _, err := io.WriteString(w.to, lines.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}
