//go:build integration

package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// started starts croft, and returns what waits for its end.
func started(t *testing.T, args ...string) (kill func(), wait func() result) {
	t.Helper()
	cmd := command(t.Context(), args...)
	ended := make(chan result, 1)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		status := exitStatus(cmd.Wait())
		ended <- result{args: args, status: status, out: out.String(), errOut: errOut.String()}
	}()
	return func() { _ = cmd.Process.Kill() }, func() result { return <-ended }
}

// Of two commands that restore the same VPS at the same time, one does.
func TestTrashOfTwoShells(t *testing.T) {
	hostAsBefore(t)
	web := create(t, "busybox", "--network", "none")
	one, two := web+"-1", web+"-2"
	t.Cleanup(func() {
		for _, name := range []string{one, two} {
			destroy(t, name)
			try("trash", "empty", name)
		}
		try("trash", "empty", web)
	})
	must(t, "destroy", "--keep", "1h", web)
	for range 3 {
		_, first := started(t, "trash", "restore", web, one)
		_, second := started(t, "trash", "restore", web, two)
		a, b := first(), second()
		if (a.status == 0) == (b.status == 0) {
			t.Fatalf("one of two: %s, %s", a, b)
		}
		winner, loser := one, two
		if b.status == 0 {
			winner, loser = two, one
		}
		if got := must(t, "list", "-q", "--filter", "name="+winner); got != winner {
			t.Errorf("%s is restored, and there is %q", winner, got)
		}
		refused(t, 3, loser, "inspect", loser)
		refused(t, 3, web, "trash", "list", web)
		must(t, "start", winner)
		must(t, "destroy", "--force", "--keep", "1h", winner)
		must(t, "trash", "restore", winner, web)
		must(t, "destroy", "--keep", "1h", web)
	}
}

// A command that is killed leaves the VPS where it was, or where it was to go. What else
// the VPS had is released, or its own again.
func TestKilledTrash(t *testing.T) {
	hostAsBefore(t)
	web := create(t, "busybox")
	dir, at := filepath.Join(world.root, "vps", web), address(t, web, 0)
	t.Cleanup(func() { destroy(t, web); try("trash", "empty", web) })
	for range 5 {
		kill, wait := started(t, "destroy", "--keep", "1h", web)
		eventually(t, "its directory is moved", func() bool { return !exists(dir) })
		kill()
		wait()
		refused(t, 3, web, "inspect", web)
		other := create(t, "busybox", "--ip", at) // the address is free, or is released now
		must(t, "destroy", other)

		kill, wait = started(t, "trash", "restore", web)
		eventually(t, "its directory is back", func() bool { return exists(dir) })
		kill()
		wait()
		if got := address(t, web, 0); got != at {
			t.Errorf("its address was %s and is %s", at, got)
		}
		must(t, "start", web)
		must(t, "stop", "--fast", web)
	}
}
