//go:build integration

package integration

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"croft/integration/guests"
)

// Services with each sandboxing option of systemd.exec(5) run as on a machine, and the
// options have an effect, unless the list says why not.
func TestSandboxing(t *testing.T) {
	for _, template := range []string{"debian-12", "debian-13", "debian-sid-tests"} {
		if allGuests() && template != "debian-13" {
			continue // the table is of one release
		}
		t.Run(template, func(t *testing.T) {
			if why := unbuilt(t, template); why != "" && template == "debian-sid-tests" {
				t.Skipf("Debian sid cannot be installed today: %s", why)
			}
			hostAsBefore(t)
			vps := boot(t, template)
			sh(t, vps, guests.SandboxSetup)
			version, err := strconv.Atoi(sh(t, vps, "systemctl --version | sed -n 's/^systemd \\([0-9]*\\).*/\\1/p'"))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range guests.Sandboxes {
				if s.Since > version {
					continue
				}
				r := sandbox(t, vps, s)
				if allGuests() {
					fmt.Println(r.Line())
				}
			}
			in(t, vps, "systemctl", "reset-failed", "run-*.service")
			if got := in(t, vps, "systemctl", "--failed", "--no-legend", "--plain"); got != "" {
				t.Errorf("failed: %s", got)
			}
			if got := in(t, vps, "findmnt", "--noheadings", "--output", "PROPAGATION", "/"); got != "shared" {
				t.Errorf("/ is %s", got)
			}
			if got := try("logs", vps); strings.Contains(got.out, "credentials") {
				t.Errorf("the console speaks of credentials: %s", got)
			}
		})
	}
}

// sandbox runs a service with options, sees that they have an effect, or none where the
// list says so, and returns what is known then.
func sandbox(t *testing.T, vps string, s guests.Sandbox) guests.Result {
	t.Helper()
	r := guests.Result{Table: "sandbox", Name: s.Options, Host: cgroupVersion(), First: guests.Works, Remark: s.Remark}
	got := service(vps, s.Options, s.Script)
	if got.status == 0 && s.After != "" {
		got = try("exec", vps, "--", "sh", "-c", s.After)
	}
	without := s.Without[cgroupVersion()]
	switch {
	case without != "" && got.status == 0:
		t.Errorf("%s has an effect, although %s", s.Options, without)
	case without != "":
		r.First = "without effect: " + without
	case got.status != 0:
		t.Errorf("%s: %s", s.Options, got)
		r.First = "fails"
	}
	if allGuests() && !s.Plain && runtime.NumCPU() >= s.CPUs {
		if plain := service(vps, "", s.Script); plain.status == 0 {
			t.Errorf("%s: its script succeeds without it, too", s.Options)
		}
	}
	return r
}

// service runs a script as a transient service with options.
func service(vps, options, script string) result {
	command := []string{"exec", vps, "--", "systemd-run", "--quiet", "--wait", "--pipe", "--collect"}
	for _, o := range strings.Fields(options) {
		command = append(command, "--property", o)
	}
	script = strings.ReplaceAll(guests.SandboxHelpers+script, "$", "$$") // systemd replaces variables itself
	return try(append(command, "/bin/sh", "-c", script)...)
}
