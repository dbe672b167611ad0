//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
