//go:build integration

package integration

import (
	"os"
	"strings"
	"testing"
)

// In a VPS, which has too few ids for VPSs of its own, croft says so.
func TestCroftInside(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	program, err := os.Open(world.croft)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	cmd := command(t.Context(), "exec", vps, "--", "sh", "-c", "cat >/croft && chmod 755 /croft")
	cmd.Stdin = program
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r := try("exec", vps, "--", "/croft", "host", "check"); !strings.Contains(r.out, "no user id") || r.status == 0 {
		t.Errorf("host check: %s", r)
	}
	r := try("exec", vps, "--", "/croft", "create", "--template", "busybox", "--network", "none", "inner")
	if r.status == 0 || !strings.Contains(r.errOut, "no user id") || !strings.Contains(r.errOut, "hint: croft host check") {
		t.Errorf("create: %s", r)
	}
}
