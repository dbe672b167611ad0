//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A mounted snapshot shows what the VPS had, with the ids inside, and nothing that
// happens to the VPS changes it. It cannot be deleted meanwhile.
func TestSnapshotMount(t *testing.T) {
	hostAsBefore(t)
	before := layersOfRoot(t)
	web := boot(t, "busybox", "--network", "none")
	sh(t, web, "echo one >/root/f; chown 7:8 /root/f; chmod u+s /root/f; rm /etc/issue")
	must(t, "snapshot", "create", web, "s")
	sh(t, web, "echo two >/root/f")
	dir := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	must(t, "snapshot", "mount", web, "s", dir)
	must(t, "snapshot", "mount", web, "s", dir)
	check := func(when string) {
		t.Helper()
		var st unix.Stat_t
		text, err := os.ReadFile(filepath.Join(dir, "root/f"))
		if err == nil {
			err = unix.Lstat(filepath.Join(dir, "root/f"), &st)
		}
		if err != nil || string(text) != "one\n" || st.Uid != 7 || st.Gid != 8 {
			t.Errorf("%s: %q of %d:%d, %v", when, text, st.Uid, st.Gid, err)
		}
		if exists(filepath.Join(dir, "etc/issue")) || !exists(filepath.Join(dir, "bin/sh")) {
			t.Errorf("%s: it is not the tree of the snapshot", when)
		}
	}
	check("mounted")
	if got := must(t, "snapshot", "list", "--format", "{{.mounted}}", web); got != "["+dir+"]" {
		t.Errorf("the list says that it is mounted on %s", got)
	}
	var fs unix.Statfs_t
	const want = unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC
	if err := unix.Statfs(dir, &fs); err != nil || fs.Flags&want != want {
		t.Errorf("its flags are %#x, %v", fs.Flags, err)
	}
	refused(t, 5, "is mounted on "+dir, "snapshot", "delete", web, "s")
	refused(t, 2, "no such file", "snapshot", "mount", web, "s", dir+"/none")
	refused(t, 3, "no snapshot", "snapshot", "mount", web, "none", dir)
	must(t, "stop", web)
	for _, name := range []string{"a", "b"} { // a merge would move the files of the snapshot
		must(t, "snapshot", "create", "--expire", "1ns", web, name)
		must(t, "start", "--wait", web)
		sh(t, web, "echo "+name+" >/root/f")
		must(t, "stop", web)
	}
	must(t, "snapshot", "prune", web)
	check("after snapshots were created and deleted")
	must(t, "rename", web, web+"-new")
	web += "-new"
	t.Cleanup(func() { destroy(t, web) })
	must(t, "snapshot", "restore", web, "s")
	check("after a restore")
	used, err := os.Open(filepath.Join(dir, "root"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, 6, "in use", "snapshot", "umount", web, "s")
	refused(t, 6, "in use", "destroy", "--force", web)
	used.Close()
	must(t, "snapshot", "umount", web, "s")
	must(t, "snapshot", "umount", web, "s")
	must(t, "snapshot", "mount", web, "s", dir)
	check("mounted again")
	must(t, "destroy", "--force", web)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("after the VPS is destroyed the directory has %v, %v", entries, err)
	}
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("there were layers %v and there are %v", before, after)
	}
}

// The files that snapshot schedule prints are valid, and their commands work.
func TestSnapshotSchedule(t *testing.T) {
	hostAsBefore(t)
	web := create(t, "busybox", "--network", "none")
	dir := t.TempDir()
	unit := filepath.Join(dir, "croft-snapshots-"+web)
	for _, kind := range []string{"service", "timer"} {
		text := must(t, "snapshot", "schedule", web, "--every", "hourly", "--expire", "1ns", "--format", kind)
		if err := os.WriteFile(unit+"."+kind, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit+".timer", unit+".service").CombinedOutput()
		if err != nil || strings.Contains(string(out), unit) {
			t.Errorf("systemd-analyze: %v\n%s", err, out)
		}
	}
	lines := strings.Split(must(t, "snapshot", "schedule", web, "--expire", "1ns", "--format", "cron"), "\n")
	_, line, found := strings.Cut(lines[len(lines)-1], " root ")
	if !found {
		t.Fatalf("the cron file is %q", lines)
	}
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	if got := must(t, "snapshot", "prune", web); !strings.HasPrefix(got, web+"@") {
		t.Errorf("it deletes %q", got)
	}
}
