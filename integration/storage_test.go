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
	refused(t, 5, "template", "set", web, "--storage", "overlay")
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
