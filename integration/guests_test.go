//go:build integration

package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"croft/integration/guests"
)

// guestsVariable asks for all programs, not only for those that a usual run has time
// for. `make guests` sets it.
const guestsVariable = "CROFT_GUESTS"

func allGuests() bool { return os.Getenv(guestsVariable) != "" }

func guestPrograms() []guests.Program {
	if allGuests() {
		return guests.Programs()
	}
	return guests.Few()
}

// Software from Debian's packages installs in a VPS, does its work, and does it again
// after a restart of the VPS, with what it has saved.
func TestGuests(t *testing.T) {
	programs := guestPrograms()
	template, _ := guests.Template(programs)
	for _, p := range programs {
		t.Run(p.Name, func(t *testing.T) {
			hostAsBefore(t)
			r := guests.Result{Table: "programs", Name: p.Name, Host: cgroupVersion(), Remark: p.Remark}
			useGuest(t, boot(t, template, p.Options...), p, &r)
			fmt.Println(r.Line())
		})
	}
}

// useGuest does all with one program, and adds to r what came of it.
func useGuest(t *testing.T, vps string, p guests.Program, r *guests.Result) {
	t.Helper()
	if p.Croft {
		must(t, "cp", world.croft, vps+":/usr/local/bin/croft")
	}
	if !guestScript(t, vps, p.Install(), "USE=0", &r.First) {
		return
	}
	r.Version = sh(t, vps, p.Version())
	if p.Host != "" {
		if lacks := sh(t, vps, p.Host); lacks != "" {
			r.First, r.Again = guests.Missing+": "+lacks, guests.Missing
			t.Log(lacks)
			return
		}
	}
	if !guestScript(t, vps, p.Setup, "USE=0", &r.First) ||
		!guestScript(t, vps, p.Use, "USE=1", &r.First) || !guestClean(t, vps, &r.First) {
		return
	}
	must(t, "restart", "--wait", vps)
	if guestScript(t, vps, p.Use, "USE=2", &r.Again) {
		guestClean(t, vps, &r.Again)
	}
}

// guestScript runs a script inside with a variable, and sets outcome.
func guestScript(t *testing.T, vps, script, variable string, outcome *string) bool {
	t.Helper()
	r := try("exec", vps, "--", "env", "HOME=/root", variable, "sh", "-euxc", script)
	if r.status == 0 {
		*outcome = guests.Works
		return true
	}
	*outcome = guests.Fails(r.errOut)
	t.Errorf("%s: exit %d\n%s\n%s", *outcome, r.status, shorten(r.out), shorten(r.errOut))
	return false
}

// guestClean sees that no unit has failed.
func guestClean(t *testing.T, vps string, outcome *string) bool {
	t.Helper()
	failed := in(t, vps, "systemctl", "--failed", "--no-legend", "--plain")
	if failed == "" {
		return true
	}
	units := ""
	for line := range strings.Lines(failed) {
		unit, _, _ := strings.Cut(line, " ")
		units += " " + unit
	}
	*outcome = "failed units:" + units
	t.Error(failed)
	return false
}

// cgroupVersion is what kind of host this is, as a table of guests has it.
func cgroupVersion() string {
	if exists("/sys/fs/cgroup/cgroup.controllers") {
		return "v2"
	}
	return "v1"
}
