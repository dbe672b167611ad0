//go:build integration

package integration

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Other users of the host, and a user with an id of the VPS's own, reach no
// file of a VPS, whatever it does and whatever the files' modes are.
func TestOtherUsersReachNothing(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	vps := s.vps("private")
	i := s.inspect(vps)
	s.must("start", "--wait", vps)
	// What the VPS's root offers to all: a program, setuid, in an open directory.
	s.must("exec", vps, "--", "sh", "-c", "mkdir -m 777 /open && cp /bin/busybox /open/suid && chmod 6755 /open/suid")
	name := "vps/" + vps
	files := []string{ // even for a user who knows their names
		name, name + "/fs/upper/open/suid", name + "/vps.json", name + "/bundle/rootfs/open/suid", "templates/index.json", "networks", "bin",
	}
	check := func(when string) {
		t.Helper()
		for _, uid := range []uint32{65534, i.IDs.First, i.IDs.First + 1000} {
			for _, dir := range []string{s.root, s.run} {
				if got := findAs(t, uid, dir); len(got) > 0 {
					t.Errorf("%s: user %d finds %q", when, uid, got)
				}
			}
			for _, file := range files {
				if out, err := as(uid, "ls", "-d", filepath.Join(s.root, file)); !strings.Contains(out, "Permission denied") {
					t.Errorf("%s: user %d reaches %s: %v %s", when, uid, file, err, out)
				}
			}
			if out, err := as(uid, filepath.Join(s.root, name, "fs/upper/open/suid"), "id"); err == nil {
				t.Errorf("%s: user %d runs a program of the VPS: %s", when, uid, out)
			}
		}
	}
	check("running")
	monitor := s.inspect(vps).MonitorPID
	if out, err := as(i.IDs.First, "ls", fmt.Sprintf("/proc/%d/root/", monitor)); err == nil {
		t.Errorf("its root sees the files of its monitor: %s", out)
	}
	s.must("stop", "--fast", vps)
	check("stopped")
	s.must("mount", vps)
	check("mounted")
	s.must("umount", vps)

	// While it is created: the draft is there as long as its maker is.
	creating := exec.Command(world.croft, append(where(s.root, s.run), "create", "--template", "busybox", "--network", "none", vps+"x")...)
	if err := creating.Start(); err != nil {
		t.Fatal(err)
	}
	check("while another is created")
	if err := creating.Wait(); err != nil {
		t.Error(err)
	}
}

// as runs a command as a user of the host, in no group.
func as(uid uint32, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// findAs lists all files below the directories of a state directory that a user
// of the host can see, if it can list them at all.
func findAs(t *testing.T, uid uint32, dir string) []string {
	t.Helper()
	out, _ := as(uid, "find", dir, "-mindepth", "2")
	var seen []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "find: ") {
			seen = append(seen, strings.TrimSpace(line))
		}
	}
	return seen
}

// The modes of what croft makes do not depend on the umask of who calls it.
func TestUmask(t *testing.T) {
	hostAsBefore(t)
	for _, mask := range []string{"027", "077", "777"} {
		s := newSite(t)
		under := func(args ...string) string {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.Background(), usual)
			defer cancel()
			line := append([]string{"-c", "umask " + mask + "; exec \"$@\"", "sh", world.croft}, append(where(s.root, s.run), args...)...)
			cmd := exec.CommandContext(ctx, "sh", line...)
			cmd.WaitDelay = 5 * time.Second
			r := finish(cmd, args)
			if r.status != 0 {
				t.Fatalf("umask %s: %s", mask, r)
			}
			return strings.TrimSpace(r.out)
		}
		vps := name(t, "umask")
		under("create", "--template", "busybox", "--network", "none", vps)
		under("start", "--wait", vps)
		if got := under("exec", vps, "--", "sh", "-c", "umask; stat -c %a / /etc/hostname"); got != "0022\n755\n644" {
			t.Errorf("umask %s: inside: %q", mask, got)
		}
		// A template's files, and those that the user asks for.
		dir := filepath.Dir(s.root)
		archive := filepath.Join(dir, "rootfs.tar")
		under("template", "export", "--format", "rootfs", "busybox", archive)
		info, err := os.Stat(archive)
		if err != nil {
			t.Fatal(err)
		}
		var m fs.FileMode
		if _, err := fmt.Sscanf(mask, "%o", &m); err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o666&^m {
			t.Errorf("umask %s: an exported file has mode %v", mask, info.Mode())
		}
		under("template", "import", "again", archive)
		under("create", "--template", "again", "--network", "none", vps+"b")
		under("mount", vps+"b")
		under("umount", vps+"b")
		under("start", "--wait", vps+"b")
		under("destroy", "--force", "--keep", "1h", vps)
		under("trash", "restore", vps)
		under("start", "--wait", vps)
		if got := under("exec", vps, "--", "stat", "-c", "%a", "/", "/etc/hostname"); got != "755\n644" {
			t.Errorf("umask %s: inside after a restore: %q", mask, got)
		}
		under("destroy", "--force", vps, vps+"b")
	}
}

// A state directory may lie below one that only root can enter; a run
// directory may not, and both start and host check name what is in the way.
func TestPrivateDirectories(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	closed := filepath.Join(filepath.Dir(s.root), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	s.root = filepath.Join(closed, "root")
	vps := s.vps("closed")
	s.must("start", "--wait", vps)
	s.must("exec", vps, "--", "touch", "/file")
	s.must("stop", "--fast", vps)

	open := s.run
	s.run = filepath.Join(closed, "run")
	r := s.try("start", vps)
	checkRefusal(t, r, 8, closed)
	if r := s.try("host", "check"); !strings.Contains(r.out, closed) {
		t.Error(r)
	}
	s.run = open
	s.must("start", vps)
}
