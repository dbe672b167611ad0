//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A finding is what croft doctor says about a VPS.
type finding struct{ Name, Severity, What, Cause, Remedy string }

// examine returns what croft doctor says about a VPS, by what does not work. Its exit
// status has to fit.
func examine(t *testing.T, vps string) map[string]finding {
	t.Helper()
	r := try("doctor", "--json", vps)
	var all []finding
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatalf("%v: %s", err, r)
	}
	want, found := 0, map[string]finding{}
	for _, f := range all {
		if f.Severity == "failure" {
			want = 12
		}
		if f.Name == vps {
			found[f.What] = f
		}
	}
	if r.status != want {
		t.Errorf("exit %d expected: %s", want, r)
	}
	return found
}

// wantFinding checks one finding: its severity, words of its cause, and its remedy.
func wantFinding(t *testing.T, all map[string]finding, what, severity, cause, remedy string) {
	t.Helper()
	f, ok := all[what]
	if !ok {
		t.Errorf("%q is not among %v", what, all)
		return
	}
	for _, words := range strings.Split(cause, "|") {
		if !strings.Contains(f.Cause, words) {
			t.Errorf("%s: %q is not in the cause %q", what, words, f.Cause)
		}
	}
	if f.Severity != severity || f.Remedy != remedy {
		t.Errorf("%+v", f)
	}
}

// croft doctor names what a VPS without systemd has run into: its limits of memory and of
// processes, its network, and its end.
func TestDoctor(t *testing.T) {
	hostAsBefore(t)
	dir := filepath.Join(t.TempDir(), "source")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	vps := boot(t, "busybox", "--memory", "32M", "--swap", "0", "--pids", "40", "--mount", dir+":/mnt")
	sh(t, vps, "echo nameserver 127.0.0.1 >/etc/resolv.conf") // nothing listens there
	if all := examine(t, vps); len(all) != 1 {
		t.Errorf("%v", all)
	} else {
		wantFinding(t, all, "DNS", "failure", "no server answers: 127.0.0.1", "croft exec "+vps+" -- cat /etc/resolv.conf")
	}
	sh(t, vps, "ip link set eth0 down; : >/etc/resolv.conf; dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null || true")
	all := examine(t, vps)
	wantFinding(t, all, "DNS", "failure", "names no server", "croft exec "+vps+" -- cat /etc/resolv.conf")
	wantFinding(t, all, "network", "warning", "no answer from "+address(t, vps, 0), "croft exec "+vps+" -- ip address")
	wantFinding(t, all, "memory", "warning", "1 process was killed|its limit is 32M", "croft set "+vps+" --memory 64M")
	try("exec", vps, "--", "sh", "-c", "for i in $(seq 1 60); do sleep 1000 & done") // the limit ends it
	wantFinding(t, examine(t, vps), "processes", "failure", "of 40 are in use", "croft set "+vps+" --pids 80")

	must(t, "kill", vps)
	if all := examine(t, vps); len(all) != 0 {
		t.Errorf("a command has ended it, and doctor says %v", all)
	}
	must(t, "start", vps)
	kill9(t, inspect(t, vps).PID)
	must(t, "wait", vps)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	all = examine(t, vps)
	wantFinding(t, all, "it has ended", "failure", "killed by signal 9", "croft start "+vps)
	wantFinding(t, all, "it cannot start", "failure", dir, "croft set "+vps+" --mount-del /mnt")

	refused(t, 3, "cannot examine", "doctor", vps+"-none")
}

// croft doctor says why units of systemd have failed, and start --wait says it too. What
// the VPS answers cannot do harm.
func TestDoctorOfUnits(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "debian-12", "--network", "none", "--memory", "256M", "--swap", "0")
	if all := examine(t, vps); len(all) != 0 {
		t.Errorf("of a healthy VPS doctor says %v", all)
	}
	for unit, service := range map[string]string{
		"t-exit":    `ExecStart=/bin/sh -c "printf 'bad \\033]0;title\\007line 3\\n' >&2; exit 78"`,
		"t-missing": "ExecStart=/usr/bin/nothere",
		"t-oom":     `ExecStart=/usr/bin/perl -e "my $$x = q(x) x 600000000; sleep 1"`,
	} {
		sh(t, vps, "cat >/etc/systemd/system/"+unit+".service <<'E'\n[Service]\nType=oneshot\n"+service+"\n[Install]\nWantedBy=multi-user.target\nE\nsystemctl enable --quiet "+unit)
	}
	r := try("restart", "--wait", vps)
	if r.status != 0 || strings.ContainsAny(r.errOut, "\x1b\a") {
		t.Errorf("%q: %s", r.errOut, r)
	}
	for _, line := range []string{
		"croft: warning: " + vps + ": unit t-exit.service: it exited with status 78",
		"croft: warning: " + vps + ": unit t-missing.service: its program cannot be run (status 203)",
		"croft: warning: " + vps + ": unit t-oom.service: ",
	} {
		if !strings.Contains(r.errOut, line) {
			t.Errorf("%q is not in %s", line, r)
		}
	}
	// The journal has the last lines a moment later.
	eventually(t, "the journal names the causes", func() bool {
		all := examine(t, vps)
		return strings.Contains(all["unit t-exit.service"].Cause, "line 3") && strings.Contains(all["unit t-missing.service"].Cause, "/usr/bin/nothere")
	})
	all := examine(t, vps)
	wantFinding(t, all, "unit t-exit.service", "failure", "status 78", "croft exec "+vps+" -- journalctl --boot --no-pager --unit t-exit.service")
	wantFinding(t, all, "unit t-oom.service", "failure", "no memory", "croft set "+vps+" --memory 512M")
	wantFinding(t, all, "memory", "warning", "killed|its limit is 256M", "croft set "+vps+" --memory 512M")
	if len(all) != 4 {
		t.Errorf("%v", all)
	}
	if r := try("doctor", vps); strings.ContainsAny(r.out, "\x1b\a") {
		t.Errorf("a unit controls the terminal: %q", r.out)
	}

	// A VPS that never ends its answer, and leaves processes behind that write on.
	sh(t, vps, `rm /usr/bin/systemctl; printf '#!/bin/sh\nyes >&2 &\nyes &\nyes &\nsleep 1000\n' >/usr/bin/systemctl; chmod 755 /usr/bin/systemctl`)
	wantFinding(t, examine(t, vps), "its units", "warning", "they are not known", "croft logs "+vps)
}
