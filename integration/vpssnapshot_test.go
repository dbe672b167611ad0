//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// layersOfRoot are the frozen layers in the test's state directory.
func layersOfRoot(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(world.root, "frozen", "*", "tree"))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// A VPS gets back the files and settings of snapshots, which were taken while it ran and
// while it was stopped, in any order. Deleted ones leave nothing.
func TestSnapshots(t *testing.T) {
	hostAsBefore(t)
	before := layersOfRoot(t)
	web := boot(t, "busybox", "--memory", "64M")
	sh(t, web, "echo one >/root/f; ln /root/f /root/g; chown 7:8 /root/f; rm /etc/issue; mkdir -m 711 /srv/d; echo x >/srv/d/x; mkfifo /srv/p; ln -s /nowhere /srv/l")
	const files = "cat /root/f; stat -c '%u:%g %h' /root/g; ls /etc/issue /srv; stat -c %a /srv/d"
	want := try("exec", web, "--", "sh", "-c", files).out
	if got := must(t, "snapshot", "create", web, "live"); got != "live" {
		t.Errorf("create prints %q", got)
	}
	refused(t, 4, "snapshot named", "snapshot", "create", web, "live")
	sh(t, web, "echo two >/root/f; rm -r /srv/d; mkdir /srv/d; echo new >/etc/issue")
	refused(t, 5, "running", "snapshot", "restore", web, "live")
	const since = "C /etc\nA /etc/issue\nC /root/f\nC /root/g\nC /srv\nC /srv/d\nD /srv/d/x"
	if got := must(t, "snapshot", "diff", web, "live"); got != since {
		t.Errorf("since the snapshot:\n%s", got)
	}
	if got := must(t, "diff", web); !strings.Contains(got, "C /etc/issue") || !strings.Contains(got, "A /root/g") || strings.Contains(got, "/bin") {
		t.Errorf("since the template:\n%s", got)
	}
	must(t, "stop", web)
	must(t, "snapshot", "create", "--expire", "7d", "--description", "a text", web, "stopped")
	must(t, "set", web, "--memory", "80M", "--label", "tier=web")
	must(t, "start", web)
	sh(t, web, "echo three >/root/f; rm /etc/issue")

	must(t, "snapshot", "restore", "--restart", web, "live")
	if got := try("exec", web, "--", "sh", "-c", files).out; got != want {
		t.Errorf("of the running VPS it restores\n%s\nand not\n%s", got, want)
	}
	if i := inspect(t, web); i.Limits.MemoryBytes != 64<<20 || len(i.Labels) > 0 {
		t.Errorf("its settings are not those of the snapshot: %+v", i)
	}
	must(t, "stop", web)
	must(t, "set", web, "--memory", "96M")
	must(t, "snapshot", "restore", "--files-only", web, "stopped")
	must(t, "start", web)
	if got := sh(t, web, "cat /root/f /etc/issue; ls -A /srv/d"); got != "two\nnew" {
		t.Errorf("of the stopped VPS it restores %q", got)
	}
	if i := inspect(t, web); i.Limits.MemoryBytes != 96<<20 {
		t.Errorf("the settings did not stay: %+v", i)
	}

	var all []struct {
		VPS, Name, Description string
		Running                bool
		Expires                *string
	}
	if err := json.Unmarshal([]byte(must(t, "snapshot", "list", "--json", web)), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Name != "live" || !all[0].Running || all[0].Expires != nil || all[1].Name != "stopped" || all[1].Running || all[1].Expires == nil || all[1].Description != "a text" {
		t.Errorf("the list has %+v", all)
	}
	if got := must(t, "snapshot", "prune", web); got != "" {
		t.Errorf("prune deletes %q", got)
	}
	must(t, "snapshot", "delete", web, "live", "stopped")
	refused(t, 3, "snapshot", "snapshot", "restore", web, "live")
	if got := sh(t, web, "cat /root/f"); got != "two" {
		t.Errorf("after the snapshots are deleted it has %q", got)
	}
	// Deleted snapshots leave no layers: what the VPS still has is its own again.
	must(t, "stop", web)
	for _, text := range []string{"four", "five"} {
		must(t, "snapshot", "create", web, text)
		must(t, "start", web)
		sh(t, web, "echo "+text+" >/root/f; echo "+text+" >>/root/all; mkdir -p /srv/d/"+text+"; rm -f /etc/issue")
		must(t, "stop", web)
	}
	must(t, "snapshot", "delete", web, "four")
	if got := layersOfRoot(t); len(got) != len(before)+1 {
		t.Errorf("with one snapshot there are the layers %v, and before there were %v", got, before)
	}
	must(t, "snapshot", "delete", web, "five")
	if got := layersOfRoot(t); len(got) != len(before) {
		t.Errorf("without a snapshot there are the layers %v, and before there were %v", got, before)
	}
	must(t, "start", web)
	if got := sh(t, web, "cat /root/f /root/all; ls /srv/d /etc/issue 2>/dev/null; true"); got != "five\nfour\nfive\n/srv/d:\nfive\nfour" {
		t.Errorf("after the merge it has %q", got)
	}
	must(t, "destroy", "--force", web)
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("there were layers %v and there are %v", before, after)
	}
}

// Clones share files with the VPS and with each other, and neither sees what another one
// changes. They have an identity of their own, and stay when the VPS is destroyed.
func TestClones(t *testing.T) {
	hostAsBefore(t)
	before := layersOfRoot(t)
	web := boot(t, "busybox", "--publish", "8080:80", "--label", "tier=web")
	sh(t, web, "echo one >/root/f; chown 7:8 /root/f; rm /etc/issue")
	one, two, three := web+"-1", web+"-2", web+"-3"
	for _, name := range []string{one, two, three} {
		t.Cleanup(func() { try("destroy", "--force", "--if-exists", name) })
	}
	must(t, "clone", web, one, "--memory", "64M", "--label", "-tier")
	sh(t, web, "echo two >/root/f")
	must(t, "stop", web)
	must(t, "snapshot", "create", web, "s")
	must(t, "clone", web, two)
	must(t, "clone", web+"@s", three, "--hostname", "other")
	refused(t, 4, "exists", "clone", web, two)
	refused(t, 2, "another name", "clone", web, web)
	refused(t, 3, "no snapshot", "clone", web+"@none", web+"-4")
	must(t, "start", "--wait=network", web, one, two, three)
	for name, want := range map[string]string{web: "two " + web, one: "one " + one, two: "two " + two, three: "two other"} {
		if got := sh(t, name, "echo $(cat /root/f) $(hostname); stat -c %u:%g /root/f; ls /etc/issue 2>/dev/null; true"); got != want+"\n7:8" {
			t.Errorf("%s has %q", name, got)
		}
		sh(t, name, "echo "+name+" >/root/f")
	}
	w, o := inspect(t, web), inspect(t, one)
	if w.IDs == o.IDs || w.UUID == o.UUID || w.Interfaces[0].MAC == o.Interfaces[0].MAC || w.Interfaces[0].Addresses[0] == o.Interfaces[0].Addresses[0] {
		t.Errorf("the clone %+v is not another VPS than %+v", o, w)
	}
	if o.Limits.MemoryBytes != 64<<20 || len(o.Labels) > 0 || inspect(t, two).Labels["tier"] != "web" {
		t.Errorf("the settings of the clone are %+v", o)
	}
	must(t, "destroy", "--force", web)
	must(t, "restart", one, two, three)
	for _, name := range []string{one, two, three} {
		if got := sh(t, name, "cat /root/f"); got != name {
			t.Errorf("after the VPS is destroyed %s has %q", name, got)
		}
	}
	must(t, "destroy", "--force", one, two, three)
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("there were layers %v and there are %v", before, after)
	}
}

// What a snapshot of a VPS in the trash has is there when the VPS is restored.
func TestSnapshotsAreKeptWithTheVPS(t *testing.T) {
	hostAsBefore(t)
	web := create(t, "busybox", "--network", "none")
	t.Cleanup(func() { try("trash", "empty", web) })
	upper := filepath.Join(world.root, "vps", web, "fs", "upper", "f")
	if err := os.WriteFile(upper, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "snapshot", "create", web, "s")
	must(t, "destroy", "--keep", "1h", web)
	must(t, "trash", "restore", web)
	must(t, "rename", web, web+"-new")
	t.Cleanup(func() { try("destroy", "--force", "--if-exists", web+"-new") })
	must(t, "snapshot", "restore", web+"-new", "s")
	must(t, "start", web+"-new")
	if got := sh(t, web+"-new", "cat /f"); got != "one" {
		t.Errorf("it has %q", got)
	}
	if got := must(t, "snapshot", "list", "--quiet"); !strings.Contains(got, web+"-new@s") {
		t.Errorf("the list has %q", got)
	}
}
