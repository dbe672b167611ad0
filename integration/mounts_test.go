//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tree makes a directory of the host with a file and a set-user-ID program, and a
// file beside it.
func tree(t *testing.T) (dir, file string) {
	t.Helper()
	top := t.TempDir()
	dir, file = filepath.Join(top, "www"), filepath.Join(top, "one")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "index"), []byte("hello"), 0o644),
		os.WriteFile(filepath.Join(dir, "program"), nil, 0o755), os.Chmod(filepath.Join(dir, "program"), 0o755|os.ModeSetuid),
		os.WriteFile(file, []byte("one"), 0o644), os.Chown(filepath.Join(dir, "index"), 33, 34)); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// ownerOf returns the owner of a file on the host.
func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Uid
}

// mountedOn returns the flags of what is mounted on target inside; "" if nothing is.
func mountedOn(t *testing.T, vps, target string) string {
	t.Helper()
	return strings.TrimSpace(sh(t, vps, "awk '$2 == \""+target+"\" {print $4}' /proc/mounts"))
}

// Directories and files of the host and tmpfs are inside with the ids of the VPS, and
// come and go while it runs, and with a reboot.
func TestMountsInside(t *testing.T) {
	hostAsBefore(t)
	dir, file := tree(t)
	vps := boot(t, "busybox", "-v", dir+":/srv/www", "--mount", "tmpfs:/cache:size=1M,mode=1777", "-v", file+":/etc/one:ro,noexec")
	if got := sh(t, vps, "cd /srv/www; stat -c %u:%g . index; cat index /etc/one; echo new > new; stat -c '%a %s' -f /cache; stat -c %a /cache"); !strings.HasPrefix(got, "0:0\n33:34\nhelloone") || !strings.HasSuffix(strings.TrimSpace(got), "1777") {
		t.Errorf("inside: %q", got)
	}
	if got := ownerOf(t, dir+"/new"); got != 0 {
		t.Errorf("a file of root inside belongs to %d on the host", got)
	}
	for target, flags := range map[string][]string{"/srv/www": {"rw", "nosuid", "nodev"}, "/cache": {"rw", "nosuid", "nodev", "size=1024k"}, "/etc/one": {"ro", "nosuid", "nodev", "noexec"}} {
		has := strings.Split(mountedOn(t, vps, target), ",")
		for _, f := range flags {
			if !slices.Contains(has, f) {
				t.Errorf("%s is mounted %v, without %s", target, has, f)
			}
		}
	}
	if r := try("exec", vps, "--", "sh", "-c", "mount -o remount,bind,rw /etc/one || mount -o remount,bind,suid /srv/www"); r.status == 0 {
		t.Errorf("root inside has changed the flags: %s", r)
	}

	must(t, "set", vps, "--mount-add", dir+":/cache/below:ro", "--mount-del", "/etc/one")
	if got := sh(t, vps, "cat /cache/below/index; cat /etc/one; ! touch /cache/below/x 2>/dev/null"); got != "hello" {
		t.Errorf("after a change: %q", got)
	}
	reboot(t, vps)
	eventually(t, "the VPS has rebooted with its mounts", func() bool {
		r := try("exec", vps, "--", "sh", "-c", "cat /srv/www/new && test -e /cache/below/index && grep -c /etc/one /proc/mounts")
		return r.out == "new\n0\n"
	})
	checkInUse(t, vps)
	must(t, "set", vps, "--mount-del", "/srv/www", "--mount-del", "/cache", "--mount-del", "/cache/below")
	if got := sh(t, vps, "grep -cE ' /(srv/www|cache)' /proc/mounts; ls -d /srv/www /cache"); strings.TrimSpace(got) != "0\n/cache\n/srv/www" {
		t.Errorf("after the removal: %q", got)
	}
}

// checkInUse shows that a mount that is in use stays, with its users in the error.
func checkInUse(t *testing.T, vps string) {
	t.Helper()
	_, wait := background(t, "exec", vps, "--", "sh", "-c", "cd /srv/www; exec sleep 1000")
	eventually(t, "a process is in the directory", func() bool {
		return try("exec", vps, "--", "sh", "-c", `ls -l /proc/[0-9]*/cwd | grep -q srv/www`).status == 0
	})
	refused(t, 6, "(sleep)", "set", vps, "--mount-del", "/srv/www", "--label", "a=b")
	refused(t, 6, "another mount on /cache/below", "set", vps, "--mount-del", "/cache")
	if mountedOn(t, vps, "/srv/www") == "" || strings.Contains(must(t, "inspect", vps), `"a": "b"`) {
		t.Error("a part of the change was made")
	}
	in(t, vps, "killall", "sleep")
	wait()
}

// Root inside cannot lead a mount elsewhere, and what cannot be mounted is an error
// that says why.
func TestMountsAreRefused(t *testing.T) {
	hostAsBefore(t)
	dir, file := tree(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	vps := boot(t, "busybox")
	sh(t, vps, "mkdir /here; ln -s /../../../here /out; ln -s /nowhere /dangling; ln -s /proc/1/root /magic")
	must(t, "set", vps, "--mount-add", dir+":/out/www")
	if got := in(t, vps, "cat", "/here/www/index"); got != "hello" {
		t.Errorf("through a link inside: %q", got)
	}
	for _, c := range []struct {
		status       int
		words, mount string
	}{
		{2, "belongs to the system", dir + ":/proc/x"},
		{2, "belongs to croft", world.root + "/vps:/x"},
		{5, "it does not exist", dir + "/none:/x"},
		{5, "croft volume create none", "none:/x"},
		{5, "a symbolic link is on the way", link + ":/x"},
		{5, "a symbolic link is on the way", link + "/index:/x"},
		{5, "leads nowhere", dir + ":/dangling"},
		{5, "", dir + ":/magic/tmp/x"},
		{5, "is not a directory", dir + ":/etc/passwd"},
		{5, "is a directory", file + ":/here"},
		{8, "sysfs", "/sys/kernel:/x"},
		{4, "there", file + ":/out/www"},
	} {
		r := try("set", vps, "--mount-add", c.mount)
		if r.status != c.status || !strings.Contains(r.errOut, c.words) {
			t.Errorf("%s: %s, not %d with %q", c.mount, r, c.status, c.words)
		}
	}
	if got := sh(t, vps, "ls -d /x /nowhere 2>/dev/null; true"); got != "" {
		t.Errorf("left inside: %q", got)
	}
	must(t, "set", vps, "--mount-add", file+":/kept:host-ids")
	if got := strings.TrimSpace(sh(t, vps, "stat -c %u /kept; cat /kept")); got != "65534\none" {
		t.Errorf("with the ids of the host: %q", got)
	}
	must(t, "set", vps, "--mount-del", "/kept", "--mount-del", "/out/www", "--at-restart")
	if mountedOn(t, vps, "/kept") == "" {
		t.Error("a change for the next start was applied")
	}
	must(t, "set", vps, "--mount-add", file+":/again", "--at-restart")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	pid := inspect(t, vps).PID
	refused(t, 5, "still runs, because it could not start again", "restart", vps)
	if got := inspect(t, vps); got.PID != pid || got.Status != "running" {
		t.Errorf("after a restart that was refused: %+v", got)
	}
	must(t, "stop", "--fast", vps)
	r := try("start", vps)
	checkRefusal(t, r, 5, "it does not exist")
	if !strings.Contains(r.errOut, "croft set "+vps+" --mount-del /again") {
		t.Errorf("no hint: %s", r)
	}
	must(t, "set", vps, "--mount-del", "/again")
	must(t, "start", vps)
	sh(t, vps, "! grep -E 'kept|www|again' /proc/mounts")
}

// A volume belongs to root of each VPS that has it, outlives them, and is not removed
// before.
func TestVolumes(t *testing.T) {
	hostAsBefore(t)
	volume := name(t, "volume")
	must(t, "volume", "create", volume)
	t.Cleanup(func() { try("volume", "remove", volume) })
	one := boot(t, "busybox", "-v", volume+":/data")
	two := boot(t, "busybox", "--privileged", "-v", volume+":/data:ro")
	sh(t, one, "echo hello > /data/file; chown 5 /data/file")
	if got := sh(t, two, "stat -c %u /data/file; cat /data/file; ! touch /data/x 2>/dev/null"); got != "5\nhello" && got != "5\nhello\n" {
		t.Errorf("in another VPS: %q", got)
	}
	must(t, "stop", "--fast", one)
	refused(t, 5, "has volume", "volume", "remove", volume)
	destroy(t, one)
	var v struct {
		Path   string
		UsedBy []string
	}
	if err := json.Unmarshal([]byte(must(t, "volume", "inspect", volume)), &v); err != nil || !slices.Equal(v.UsedBy, []string{two}) {
		t.Errorf("%+v, %v", v, err)
	}
	must(t, "set", two, "--mount-del", "/data")
	if text, err := os.ReadFile(filepath.Join(v.Path, "file")); err != nil || string(text) != "hello\n" || ownerOf(t, filepath.Join(v.Path, "file")) != 5 {
		t.Errorf("on the host: %q, %v", text, err)
	}
	must(t, "volume", "remove", volume)
	refused(t, 3, "no volume", "volume", "inspect", volume)
	if _, err := os.Stat(v.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its files: %v", err)
	}
}
