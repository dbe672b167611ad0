//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A VPS with plain storage has a root filesystem that is no overlay: directories of its
// template are renamed and not copied, and an overlay can be mounted on it. On disk its
// files have the ids inside.
func TestPlainStorage(t *testing.T) {
	hostAsBefore(t)
	web := boot(t, "busybox", "--memory", "64M", "--storage", "plain")
	if got := sh(t, web, "grep -c '^overlay / ' /proc/mounts || true"); got != "0" {
		t.Errorf("its root filesystem is an overlay: %s", got)
	}
	sh(t, web, `set -e; was=$(stat -c %i /var); mv /var /var2; test $(stat -c %i /var2) = $was; mv /var2 /var
echo x >/root/f; chown 7:8 /root/f; cp /bin/busybox /root/setuid; chmod 4755 /root/setuid
mkdir -p /t/low /t/up /t/work /t/all; echo low >/t/low/a; mount -t overlay -o lowerdir=/t/low,upperdir=/t/up,workdir=/t/work,userxattr none /t/all; rm /t/all/a; echo b >/t/all/b; umount /t/all`)
	if got := sh(t, web, "stat -c %F /t/up/a; cat /t/up/b"); got != "character special file\nb" {
		t.Errorf("the overlay inside: %q", got)
	}
	files := inspect(t, web).Files
	if got := ownerAndMode(t, filepath.Join(files, "root/f")); got != "7:8 644" {
		t.Errorf("on disk a file has %s", got)
	}
	if got := must(t, "diff", web); !strings.Contains(got, "A /root/f") || strings.Contains(got, "/bin") || strings.Contains(got, "C /var\n") {
		t.Errorf("since the template:\n%s", got)
	}
	must(t, "stop", web)
	file := filepath.Join(t.TempDir(), "from-host")
	if err := os.WriteFile(file, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "cp", file, web+":/root/")
	if got := ownerAndMode(t, filepath.Join(files, "root/from-host")); got != "0:0 644" {
		t.Errorf("a copied file has %s", got)
	}
	must(t, "set", web, "--id-size", "131072")
	must(t, "mount", web)
	must(t, "umount", web)
	must(t, "start", web)
	if got := sh(t, web, "cat /root/from-host; stat -c '%u:%g' /root/f; stat -c %a /root/setuid"); got != "text7:8\n4755" {
		t.Errorf("after a restart it has %q", got)
	}
	refused(t, 5, "converted", "set", web, "--storage", "overlay")
}

// ownerAndMode returns the owner, the group and the mode of a file on the host.
func ownerAndMode(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, st.Mode&0o7777)
}

// Snapshots and clones of a plain tree are copies, and a conversion in either direction
// keeps all files as they are.
func TestPlainSnapshotsAndConversion(t *testing.T) {
	hostAsBefore(t)
	before := layersOfRoot(t)
	web := boot(t, "busybox", "--memory", "64M", "--storage", "plain")
	sh(t, web, "rm /etc/issue; echo one >/root/f; ln /root/f /root/g; chown 7:8 /root/f; mkdir -m 711 /srv/d; cp /bin/busybox /srv/d/p; chmod 4755 /srv/d/p; mkdir -p /var/lib/docker; mknod /var/lib/docker/gone c 0 0")
	const files = "cat /root/f; stat -c '%u:%g %h' /root/g; ls /etc/issue; stat -c %a /srv/d /srv/d/p; stat -c '%t,%T %F' /var/lib/docker/gone"
	want := try("exec", web, "--", "sh", "-c", files).out
	is := func(what, vps string) {
		t.Helper()
		if got := try("exec", vps, "--", "sh", "-c", files).out; got != want {
			t.Errorf("%s it has\n%s\nand not\n%s", what, got, want)
		}
	}
	must(t, "snapshot", "create", web, "live")
	sh(t, web, "echo two >/root/f; rm -r /srv/d")
	if got, want := must(t, "snapshot", "diff", web, "live"), "C /root/f\nC /root/g\nC /srv\nD /srv/d"; got != want {
		t.Errorf("since the snapshot:\n%s", got)
	}
	refused(t, 5, "running", "convert", web, "--storage", "overlay")
	must(t, "stop", web)
	must(t, "snapshot", "restore", web, "live")
	must(t, "start", web)
	is("after a restore", web)
	must(t, "stop", web)
	other, third, copied := web+"-1", web+"-2", web+"-3"
	for _, vps := range []string{other, third, copied} {
		t.Cleanup(func() { try("destroy", "--force", "--if-exists", vps) })
	}
	must(t, "clone", web, other)
	must(t, "clone", web+"@live", third)

	must(t, "convert", web, "--storage", "overlay")
	if i := inspect(t, web); filepath.Base(i.Files) != "upper" {
		t.Errorf("converted, its files are in %s", i.Files)
	}
	must(t, "start", web)
	is("as an overlay", web)
	must(t, "stop", web)
	must(t, "snapshot", "create", web, "overlay")
	must(t, "convert", web, "--storage", "plain")
	must(t, "start", web)
	is("as a plain tree again", web)
	must(t, "snapshot", "restore", "--restart", "--files-only", web, "overlay")
	is("restored to an overlay", web)
	must(t, "destroy", "--force", web)
	for _, vps := range []string{other, third} {
		must(t, "start", vps)
		is("as a clone", vps)
	}
	template := web
	t.Cleanup(func() { try("template", "remove", template) })
	must(t, "template", "create", template, "--from", other)
	must(t, "create", copied, "--template", template, "--network", "none")
	must(t, "start", copied)
	if got := sh(t, copied, "cat /root/f; stat -c '%u:%g %h' /root/g; stat -c %a /srv/d/p; ls /etc/issue 2>&1 | wc -l"); got != "one\n7:8 2\n4755\n1" {
		t.Errorf("a VPS of its template has %q", got)
	}
	must(t, "destroy", "--force", copied)
	must(t, "template", "remove", template)
	for _, vps := range []string{other, third} {
		must(t, "destroy", "--force", vps)
	}
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("there were layers %v and there are %v", before, after)
	}
}
