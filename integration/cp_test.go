//go:build integration

package integration

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Files are copied into a VPS, out of it, between two, and as archives, whether
// the VPSs run or not. Their ids are those inside.
func TestCopyFiles(t *testing.T) {
	hostAsBefore(t)
	running, stopped := boot(t, "busybox"), create(t, "busybox")
	dir := t.TempDir()
	site := filepath.Join(dir, "site")
	if err := os.MkdirAll(site+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(os.WriteFile(site+"/index", []byte("hello\n"), 0o640), os.WriteFile(site+"/sub/tool", []byte("#!/bin/sh\n"), 0o755),
		os.Chown(site+"/sub/tool", 33, 34), os.Chmod(site+"/sub/tool", 0o755|os.ModeSetuid), os.Symlink("index", site+"/link"))
	if err != nil {
		t.Fatal(err)
	}
	must(t, "cp", site, running+":/srv")
	const look = `cd /srv/site && stat -c '%n %u:%g %a' index sub/tool && readlink link && cat index`
	const want = "index 0:0 640\nsub/tool 33:34 4755\nindex\nhello"
	if got := sh(t, running, look); got != want {
		t.Errorf("in the running VPS:\n%s", got)
	}
	must(t, "cp", running+":/srv/site", stopped+":/srv")
	must(t, "cp", "--owner", "5:6", site+"/index", stopped+":/srv/site/mine")
	must(t, "start", stopped)
	if got := sh(t, stopped, look+" && stat -c '%u:%g' mine"); got != want+"\n5:6" {
		t.Errorf("in the VPS that was stopped:\n%s", got)
	}
	must(t, "stop", "--fast", stopped)

	// On the host a program of a VPS has no powers.
	r := try("cp", stopped+":/srv/site/.", dir+"/out")
	var st unix.Stat_t
	if err := unix.Stat(dir+"/out/sub/tool", &st); err != nil || st.Mode&0o7777 != 0o755 || st.Uid != 33 || !strings.Contains(r.errOut, "1 of the files") {
		t.Errorf("on the host: %o, owner %d, %v; %s", st.Mode, st.Uid, err, r)
	}
	must(t, "cp", "--set-id", stopped+":/srv/site/sub/tool", dir)
	if info, err := os.Stat(dir + "/tool"); err != nil || info.Mode()&os.ModeSetuid == 0 {
		t.Errorf("with --set-id: %v", err)
	}

	archive := must(t, "cp", running+":/srv/site", "-")
	names := namesIn(t, archive)
	if names != "site/ site/index site/link site/sub/ site/sub/tool" {
		t.Errorf("the archive has %s", names)
	}
	if r := croftWithin(usual, archive+strings.Repeat("\x00", 1024), "cp", "-", stopped+":/root"); r.status != 0 {
		t.Errorf("%s", r)
	}
	refused(t, 3, "does not exist", "cp", running+":/nowhere", dir)
	refused(t, 3, "does not exist", "cp", running+":/srv", stopped+":/no/such/place")
	refused(t, 5, "proc", "cp", running+":/proc/cpuinfo", dir)
	refused(t, 2, "same file", "cp", running+":/etc/hosts", running+":/etc/hosts")
	refused(t, 2, "inside it", "cp", running+":/srv", running+":/srv/site")
}

func namesIn(t *testing.T, archive string) string {
	t.Helper()
	var names []string
	in := tar.NewReader(strings.NewReader(archive))
	for {
		h, err := in.Next()
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { // must trims the zeros at the end
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

// The root of a VPS cannot lead a copy to files of the host.
func TestCopyStaysInside(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("the host's"), 0o600); err != nil {
		t.Fatal(err)
	}
	sh(t, vps, "mkdir /trap && ln -s "+dir+" /trap/out && ln -s /proc/1/root"+dir+" /trap/magic && ln -s "+secret+" /trap/file && ln -s /proc/sys/kernel /trap/kernel")
	for _, path := range []string{"/trap/out/secret", "/trap/magic/secret"} {
		if r := try("cp", vps+":"+path, dir+"/got"); r.status == 0 {
			t.Errorf("%s was read", path)
		}
		if r := try("cp", "/etc/hostname", vps+":"+path); r.status == 0 {
			t.Errorf("%s was written", path)
		}
	}
	must(t, "cp", vps+":/trap/file", dir+"/link")
	if to, err := os.Readlink(dir + "/link"); err != nil || to != secret {
		t.Errorf("a link is copied as %q, %v", to, err)
	}
	refused(t, 5, "proc", "cp", "/etc/hostname", vps+":/trap/kernel/hostname")
	if got, err := os.ReadFile(secret); err != nil || string(got) != "the host's" {
		t.Errorf("the secret is %q, %v", got, err)
	}
}

// A file of a VPS that runs, and of one that does not, is edited in place: see
// filecopy for what stays.
func TestEditFile(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none")
	edit := func(file, script string) result {
		t.Helper()
		args := []string{"edit", vps + ":" + file}
		cmd := command(t.Context(), args...)
		cmd.Env = append(cmd.Env, "EDITOR="+script, "TMPDIR="+t.TempDir())
		return finish(cmd, args)
	}
	sh(t, vps, "mkdir -p /srv/real && echo one >/srv/real/f && chown 33:34 /srv/real/f && chmod 640 /srv/real/f && ln -s real/f /srv/link")
	if r := edit("/srv/link", "sed -i s/one/two/"); r.status != 0 {
		t.Error(r)
	}
	const look = "stat -c '%u:%g %a' /srv/real/f && readlink /srv/link && ls -A /srv/real && cat /srv/link"
	if got := sh(t, vps, look); got != "33:34 640\nreal/f\nf\ntwo" {
		t.Errorf("in the running VPS: %s", got)
	}
	changed := "sh -c '" + strings.Join(append([]string{world.croft}, where(world.root, world.run)...), " ") + " exec " + vps + " -- sh -c \"echo guest >/srv/real/f\"; echo mine >$1' sh"
	if r := edit("/srv/link", changed); r.status != 5 || !strings.Contains(r.errOut, "has changed meanwhile") || !strings.Contains(r.errOut, "your text is in") {
		t.Error(r)
	}
	if got := sh(t, vps, "cat /srv/link"); got != "guest" {
		t.Errorf("the guest's change is now %q", got)
	}
	for file, status := range map[string]int{"/dev/null": 5, "/proc/sys/kernel/hostname": 5, "/proc/1/root/etc/passwd": 5, "/srv": 5, "/srv/none": 3} {
		if r := edit(file, "sed -i s/^/x/"); r.status != status {
			t.Errorf("%s: %s", file, r)
		}
	}
	must(t, "stop", "--fast", vps)
	if r := edit("srv/link", "sed -i s/guest/three/"); r.status != 0 {
		t.Error(r)
	}
	must(t, "start", vps)
	if got := sh(t, vps, look); got != "33:34 640\nreal/f\nf\nthree" {
		t.Errorf("after the VPS was stopped: %s", got)
	}
}

// Files of a directory of the host and of a volume, which have the ids of the VPS, are
// written too. On the host they have the ids inside.
func TestCopyIntoMounts(t *testing.T) {
	hostAsBefore(t)
	vps, volume := create(t, "busybox", "--network", "none"), name(t, "volume")
	must(t, "volume", "create", volume)
	t.Cleanup(func() { try("volume", "remove", volume) })
	t.Cleanup(func() { destroy(t, vps) })
	host := t.TempDir()
	if err := os.WriteFile(host+"/f", []byte("one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "set", vps, "--mount-add", volume+":/vol", "--mount-add", host+":/host")
	must(t, "start", vps)
	must(t, "cp", "--owner", "33:34", host+"/f", vps+":/vol")
	must(t, "cp", "--owner", "33:34", host+"/f", vps+":/host/g")
	for _, file := range []string{"/vol/f", "/host/g"} {
		args := []string{"edit", vps + ":" + file}
		cmd := command(t.Context(), args...)
		cmd.Env = append(cmd.Env, "EDITOR=sed -i s/one/two/")
		if r := finish(cmd, args); r.status != 0 {
			t.Error(r)
		}
		if got := sh(t, vps, "stat -c '%u:%g %a' "+file+" && cat "+file); got != "33:34 644\ntwo" {
			t.Errorf("%s: %s", file, got)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(host+"/g", &st); err != nil || st.Uid != 33 || st.Gid != 34 {
		t.Errorf("on the host: %d:%d, %v", st.Uid, st.Gid, err)
	}
}
