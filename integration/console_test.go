//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"
)

func TestLogs(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	sh(t, vps, "echo first boot >/dev/console")
	eventually(t, "it is in the log", func() bool { return strings.Contains(must(t, "logs", vps), "first boot") })

	follow, wait := background(t, "logs", "-f", vps)
	sh(t, vps, "echo followed >/dev/console")
	must(t, "stop", vps)
	ends := time.AfterFunc(usual, func() { follow.Process.Signal(sigint) })
	if r := wait(); !strings.Contains(r.out, "first boot") || !strings.Contains(r.out, "followed") || !ends.Stop() {
		t.Errorf("it shows all and ends with the VPS: %s", r)
	}

	must(t, "start", "--wait", vps)
	sh(t, vps, "echo second boot >/dev/console")
	eventually(t, "it is in the log", func() bool { return strings.Contains(must(t, "logs", vps), "second boot") })
	if got := must(t, "logs", vps); strings.Contains(got, "first boot") {
		t.Errorf("the log of this boot:\n%s", got)
	}
	if got := must(t, "logs", "--boot", "-1", vps); !strings.Contains(got, "first boot") || strings.Contains(got, "second boot") {
		t.Errorf("the log of the boot before:\n%s", got)
	}
	if got := must(t, "logs", "--boot", "1", vps); !strings.Contains(got, "first boot") {
		t.Errorf("the log of the first boot:\n%s", got)
	}
	refused(t, 3, vps, "logs", "--boot", "99", vps)
}

// Nobody has to look for a VPS to be able to write.
func TestConsoleNeverBlocks(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	r := try("exec", vps, "--", "sh", "-c", "head -c 10000000 /dev/zero | tr '\\0' x >/dev/console; echo written")
	if r.out != "written\n" {
		t.Error(r)
	}
}

func TestConsole(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	one := onTerminal(t, "console", vps)
	sh(t, vps, "echo shown on the console >/dev/console")
	one.expect("shown on the console")

	two := onTerminal(t, "console", vps)
	two.expect("shown on the console") // what was there before
	one.typ("\r")
	one.expect("login:")
	two.expect("login:")
	one.resize(100, 40)
	eventually(t, "the console has the terminal's size", func() bool {
		return in(t, vps, "sh", "-c", "stty -F /dev/console size") == "40 100"
	})

	one.typ("\x1d")
	if got := one.ended(); got != 0 {
		t.Errorf("Ctrl-]: exit %d", got)
	}
	two.typ("\r\x1b.")
	if got := two.ended(); got != 0 {
		t.Errorf("Esc .: exit %d", got)
	}
	wantStatus(t, vps, "running")

	three := onTerminal(t, "console", vps)
	three.expect("login:")
	must(t, "stop", vps)
	if got := three.ended(); got != 0 {
		t.Errorf("at the end of the VPS: exit %d", got)
	}
	refused(t, 5, vps, "console", vps)
}
