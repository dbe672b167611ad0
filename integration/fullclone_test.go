//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full clone has all files of the other VPS, of snapshots too, and no layer of it.
func TestFullClone(t *testing.T) {
	hostAsBefore(t)
	before := layersOfRoot(t)
	web := boot(t, "busybox", "--network", "none")
	one, two := web+"-1", web+"-2"
	t.Cleanup(func() { destroy(t, one); destroy(t, two) })
	sh(t, web, "echo one >/root/f; ln /root/f /root/g; chown 7:8 /root/f; rm /etc/issue; mkdir -m 711 /srv/d; echo x >/srv/d/x; dd if=/dev/zero of=/srv/sparse bs=1 count=1 seek=5M 2>/dev/null")
	must(t, "snapshot", "create", web, "s")
	sh(t, web, "echo two >/root/f; rm /srv/d/x")
	must(t, "clone", "--full", web+"@s", one)
	must(t, "stop", web)
	must(t, "snapshot", "create", web, "t") // two layers
	must(t, "clone", "--full", web, two, "--hostname", "other")
	for _, name := range []string{one, two} {
		text, err := os.ReadFile(filepath.Join(world.root, "vps", name, "vps.json"))
		if err != nil || strings.Contains(string(text), `"frozen"`) {
			t.Errorf("%s shares layers: %s, %v", name, text, err)
		}
	}
	must(t, "destroy", "--force", web)
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("there were layers %v and there are %v", before, after)
	}
	must(t, "start", "--wait", one, two)
	const files = "cat /root/f; stat -c '%u:%g %h' /root/g; ls /etc/issue /srv/d 2>/dev/null; stat -c %a /srv/d; [ $(stat -c %b /srv/sparse) -lt 100 ] && hostname"
	for name, want := range map[string]string{one: "one\n7:8 2\n/srv/d:\nx\n711\n" + one, two: "two\n7:8 2\n/srv/d:\n711\nother"} {
		if got := sh(t, name, files); got != want {
			t.Errorf("%s has %q", name, got)
		}
	}
}

// A command runs in a clone that goes when it ends, when it is interrupted, and when the
// croft run is killed. The VPS itself stays as it is.
func TestRunInAClone(t *testing.T) {
	hostAsBefore(t)
	before := layersOfRoot(t)
	web := boot(t, "busybox", "--network", "none")
	sh(t, web, "echo one >/root/f")
	must(t, "snapshot", "create", web, "s")
	sh(t, web, "echo two >/root/f")
	copied := web + "-copy"
	t.Cleanup(func() { destroy(t, copied) })
	r := try("run", "--rm", "--clone", web+"@s", "--name", copied, "--memory", "64M", "--env", "A=b", "--", "sh", "-c", "cat /root/f; hostname; echo $A; echo three >/root/f; exit 7")
	if r.status != 7 || r.out != "one\n"+copied+"\nb" && r.out != "one\n"+copied+"\nb\n" {
		t.Error(r)
	}
	refused(t, 3, copied, "inspect", copied)
	refused(t, 125, "--network", "run", "--rm", "--clone", web, "--network", "none", "--", "true")
	refused(t, 125, "no VPS", "run", "--rm", "--clone", web+"-none", "--", "true")
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		run, wait := background(t, "run", "--rm", "--clone", web, "--name", copied, "--", "sh", "-c", "echo up >/up; sleep 1000")
		eventually(t, "its command runs", func() bool { return try("exec", copied, "--", "test", "-e", "/up").status == 0 })
		if err := run.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if r := wait(); signal == syscall.SIGINT && r.status != 128+int(syscall.SIGINT) {
			t.Error(r)
		}
		eventually(t, "the clone is gone", func() bool { return !exists(filepath.Join(world.root, "vps", copied)) })
		must(t, "--lock-timeout", "60s", "destroy", "--if-exists", copied)
	}
	if got := sh(t, web, "cat /root/f"); got != "two" {
		t.Errorf("the VPS has %q", got)
	}
	must(t, "destroy", "--force", web)
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("there were layers %v and there are %v", before, after)
	}
}
