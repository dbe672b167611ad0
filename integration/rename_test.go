//go:build integration

package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A renamed VPS is the same one by another name, everywhere.
func TestRename(t *testing.T) {
	hostAsBefore(t)
	old, neighbour := boot(t, "busybox", "--publish", "8080:80"), boot(t, "busybox")
	sh(t, old, "echo kept >/root/note")
	before := inspect(t, old)
	now := name(t, "now")
	t.Cleanup(func() { destroy(t, now) })

	refused(t, 5, "running", "rename", old, now)
	must(t, "stop", old)
	refused(t, 4, neighbour, "rename", old, neighbour)
	must(t, "rename", old, now)
	refused(t, 3, old, "start", old)
	if status(t, now) != "stopped" {
		t.Errorf("it is %s", status(t, now))
	}
	if got := in(t, neighbour, "cat", "/etc/hosts"); strings.Contains(got, old+"\n") || strings.Contains(got, old+".croft") || !strings.Contains(got, now) {
		t.Errorf("its neighbour knows\n%s", got)
	}
	must(t, "start", "--wait=network", now)
	after := inspect(t, now)
	if after.UUID != before.UUID || !slices.Equal(after.Interfaces[0].Addresses, before.Interfaces[0].Addresses) || after.Interfaces[0].MAC != before.Interfaces[0].MAC {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	if got := sh(t, now, "cat /root/note /etc/hostname; hostname"); got != "kept\n"+now+"\n"+now {
		t.Errorf("inside is %q", got)
	}
	if !pings(neighbour, now) || !pings(now, neighbour) {
		t.Error("they do not reach each other by name")
	}
	answers(t, now, "80")
	if got := hostAsks("127.0.0.1", "8080"); got != now {
		t.Errorf("its port is answered by %q", got)
	}
	if got := must(t, "logs", "--boot", "1", now); got == "" {
		t.Error("the log of its first boot is gone")
	}
	for _, dir := range []string{world.root + "/vps", world.run + "/vps", world.run + "/containers"} {
		if _, err := os.Lstat(filepath.Join(dir, old)); !os.IsNotExist(err) {
			t.Errorf("%s still has %s: %v", dir, old, err)
		}
	}
	// Its old name is free, and nothing of it comes with that.
	must(t, "create", "--template", "busybox", old)
	if got := inspect(t, old); got.UUID == before.UUID || got.Interfaces[0].Addresses[0] == before.Interfaces[0].Addresses[0] {
		t.Errorf("another of its old name is %+v", got)
	}
}

// Whenever a rename is killed, the VPS is there once, under one of its names,
// with its addresses.
func TestKilledRename(t *testing.T) {
	hostAsBefore(t)
	names := []string{create(t, "busybox"), name(t, "other")}
	t.Cleanup(func() { destroy(t, names[1]) })
	before := inspect(t, names[0])
	if r := try("rename", names[0], names[1]); r.status != 0 {
		t.Fatal(r)
	}
	start := time.Now()
	must(t, "rename", names[1], names[0])
	took := time.Since(start)
	rounds, killed, moved := 24, 0, 0
	if testing.Short() {
		rounds = 8
	}
	from, to := names[0], names[1]
	for i := range rounds {
		r := killedAfter(t, took*time.Duration(i+1)/time.Duration(rounds), "rename", from, to)
		switch r.status {
		case 0:
		case 128 + 9:
			killed++
		default:
			t.Fatal(r)
		}
		if i%2 == 0 { // somebody else looks for an address before
			other := create(t, "busybox")
			must(t, "destroy", other)
		}
		all := list(t)
		_, old := all[from]
		now, renamed := all[to]
		if renamed {
			moved++
			from, to = to, from
		}
		if old == renamed || !old && now.Name == "" {
			t.Fatalf("after %v: old name %t, new one %t", r.took, old, renamed)
		}
		after := inspect(t, from)
		if after.UUID != before.UUID || !slices.Equal(after.Interfaces[0].Addresses, before.Interfaces[0].Addresses) {
			t.Fatalf("after %v it is %+v", r.took, after)
		}
	}
	t.Logf("%d of %d were killed, %d had got their name", killed, rounds, moved)
	if killed == 0 {
		t.Error("none was killed")
	}
	must(t, "start", "--wait=network", from)
	if table := must(t, "network", "inspect", "croft0"); strings.Contains(table, `"`+to+`"`) {
		t.Errorf("the network says\n%s", table)
	}
}

// killedAfter runs croft, and kills it if it goes on for longer.
func killedAfter(t *testing.T, limit time.Duration, args ...string) result {
	t.Helper()
	cmd := command(t.Context(), args...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	return result{args: args, status: exitStatus(err), errOut: errOut.String(), took: time.Since(start)}
}
