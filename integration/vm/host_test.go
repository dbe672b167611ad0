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

// What is run of the integration tests where time is short: what is different
// from host to host. Emulation makes minutes of what takes seconds elsewhere.
const (
	shortSystemd        = "^(TestLife|TestLimits|TestDebian|TestFirewallInside|TestKilledMonitor|TestExec)$"
	shortWithoutSystemd = "^(TestLife|TestLimits|TestDebian)$/^(debian-12|pids|memory|cpus)$"
)

// withoutSystemd boots a host that has cgroup v2 and another init.
var withoutSystemd = bootOptions{init: "/sbin/croft-test-init"}

func TestSystemd(t *testing.T) {
	m := newMachine(t)
	m.boot(t, bootOptions{})
	for _, c := range []struct{ script, want string }{
		{"cat /proc/1/comm", "systemd"},
		{"systemctl is-system-running --wait", "running"},
		{"stat -f -c %T /sys/fs/cgroup", "cgroup2fs"},
		{"grep -c cgroup /proc/mounts", "1"},
		{"cat /sys/module/apparmor/parameters/enabled", "Y"},
		{"systemctl is-active dbus.socket apparmor.service", "active\nactive"},
		{"iptables --version | grep -o '(.*)'", "(nf_tables)"},
	} {
		if out, _ := m.try(t, c.script); out != c.want {
			t.Errorf("%s: %q, not %q", c.script, out, c.want)
		}
	}
	m.integration(t, shortSystemd)
	m.end(t, "systemctl poweroff")
}

func TestWithoutSystemd(t *testing.T) {
	m := newMachine(t)
	m.boot(t, withoutSystemd)
	for _, c := range []struct{ script, want string }{
		{"cat /proc/1/comm", "croft-test-init"},
		{"stat -f -c %T /sys/fs/cgroup", "cgroup2fs"},
		{"grep -c cgroup /proc/mounts", "1"},
		{"test -e /run/systemd; echo $?", "1"},
	} {
		if out, _ := m.try(t, c.script); out != c.want {
			t.Errorf("%s: %q, not %q", c.script, out, c.want)
		}
	}
	m.integration(t, shortWithoutSystemd)
	m.end(t, "poweroff -f -f")
}

// integration runs the integration tests inside, those that short picks where
// time is short, or those that were asked for; what they print is printed.
func (m *machine) integration(t *testing.T, short string) {
	t.Helper()
	limit, options, picked := time.Hour, "-test.v", os.Getenv("CROFT_VM_RUN")
	if testing.Short() {
		limit, options = 14*time.Minute, "-test.v -test.short"
		if picked == "" {
			picked = short
		}
	}
	if picked != "" {
		options += " -test.run '" + picked + "'"
	}
	script := fmt.Sprintf("cd integration && CROFT_BIN=/croft/croft CROFT_TEST_CACHE=/var/cache/croft-test "+
		"./integration.test -test.timeout %v %s", limit, options)
	log, err := os.Create(filepath.Join(m.logs, "integration.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	status := m.stream(t, limit+patience, io.MultiWriter(log, &indented{to: os.Stdout}), script)
	if status == 0 {
		return
	}
	t.Errorf("the integration tests: exit %d", status)
	journal, _ := m.try(t, "dmesg; test -e /run/systemd && journalctl --no-pager --boot")
	if err := os.WriteFile(filepath.Join(m.logs, "journal.log"), []byte(journal), 0o644); err != nil {
		t.Error(err)
	}
}

// An indented writer sets what is written to it apart from our own lines.
type indented struct {
	to     io.Writer
	inLine bool
}

func (w *indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if !w.inLine {
			line = "    " + line
		}
		w.inLine = !strings.HasSuffix(line, "\n")
		if _, err := io.WriteString(w.to, line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
