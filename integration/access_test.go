//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keyPair makes an SSH key on the host. It returns the files of the private key and of
// the public one.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	private = filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", private).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	return private, private + ".pub"
}

// wantPassword checks the password in /etc/shadow of the VPS with another program.
func wantPassword(t *testing.T, vps, user, password string) {
	t.Helper()
	_, line, _ := strings.Cut("\n"+sh(t, vps, "cat /etc/shadow"), "\n"+user+":")
	hash, _, _ := strings.Cut(line, ":")
	parts := strings.Split(hash, "$")
	if len(parts) != 5 {
		t.Fatalf("%s has no password: %q", user, hash)
	}
	out, err := exec.Command("openssl", "passwd", "-6", "-salt", parts[2]+"$"+parts[3], password).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v: %s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != hash {
		t.Errorf("the password of %s is not %q: %s, not %s", user, password, hash, got)
	}
}

// setPassword is croft set with a password on standard input.
func setPassword(t *testing.T, password string, args ...string) {
	t.Helper()
	if r := croftWithin(usual, password+"\n", append([]string{"set", "--password-stdin"}, args...)...); r.status != 0 {
		t.Fatal(r)
	}
}

// Users, passwords and keys are there at the first boot, and change while a VPS runs,
// while it is stopped, and before it has ever run. No file of croft has them.
func TestFirstAccess(t *testing.T) {
	hostAsBefore(t)
	_, public := keyPair(t)
	key, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vps := create(t, "busybox", "--network", "none", "--user", "deploy:users,mail", "--ssh-key", public, "--password-file", password)
	other := create(t, "busybox", "--network", "none")
	setPassword(t, "never ran", other)
	must(t, "start", "--wait", vps)
	if got := sh(t, vps, "su deploy -c 'id -un; id -Gn; cd; pwd'"); got != "deploy\ndeploy mail users\n/home/deploy" {
		t.Errorf("id: %s", got)
	}
	if got := in(t, vps, "cat", "/home/deploy/.ssh/authorized_keys"); got != strings.TrimSpace(string(key)) {
		t.Errorf("the keys are %q", got)
	}
	if got := sh(t, vps, "stat -c '%a %u %g %n' /home/deploy /home/deploy/.ssh /home/deploy/.ssh/authorized_keys /etc/shadow /etc/passwd"); got !=
		"700 1000 1000 /home/deploy\n700 1000 1000 /home/deploy/.ssh\n600 1000 1000 /home/deploy/.ssh/authorized_keys\n600 0 0 /etc/shadow\n644 0 0 /etc/passwd" {
		t.Errorf("modes and owners:\n%s", got)
	}
	wantPassword(t, vps, "deploy", "correct horse")

	// It runs. The file keeps the owner and the mode that it has inside.
	sh(t, vps, "chgrp shadow /etc/shadow && chmod 640 /etc/shadow")
	setPassword(t, "for both", vps, other)
	must(t, "set", vps, "--ssh-key", public)
	must(t, "set", vps, "--ssh-key", public, "--user", "deploy:tty") // the key is there
	wantPassword(t, vps, "root", "for both")
	if got := sh(t, vps, "stat -c '%a %u %g' /etc/shadow; wc -l </home/deploy/.ssh/authorized_keys; grep tty: /etc/group; ls -A /etc | grep croft || true"); got != "640 0 42\n1\ntty:x:5:deploy" {
		t.Errorf("got %s", got)
	}

	must(t, "stop", vps)
	setPassword(t, "stopped", vps, "--user", "second")
	must(t, "start", "--wait", vps)
	must(t, "start", "--wait", other)
	wantPassword(t, vps, "second", "stopped")
	wantPassword(t, vps, "root", "for both")
	wantPassword(t, other, "root", "for both")
	if got := must(t, "inspect", vps); strings.Contains(got, "$6$") || strings.Contains(got, "ssh-ed25519") {
		t.Errorf("inspect shows %s", got)
	}
}

// Root inside cannot lead croft astray, and a set that fails changes nothing, here and
// in the other settings.
func TestAccessIsNotLedAstray(t *testing.T) {
	hostAsBefore(t)
	_, public := keyPair(t)
	vps := create(t, "busybox", "--network", "none", "--memory", "64M")
	must(t, "set", vps, "--user", "deploy")
	must(t, "start", "--wait", vps)
	// Without times: a file that is written and put back has a new one.
	const files = "cat /etc/passwd; for f in /etc/* /etc/.[!.]* /home/deploy /home/deploy/.[!.]*; do stat -c '%A %u %g %s %N' $f; done 2>/dev/null; true"
	for _, c := range []struct{ script, words, undo string }{
		{"mv /etc/shadow /etc/s && ln -s /host/shadow /etc/shadow", "/etc/shadow link", "rm /etc/shadow && mv /etc/s /etc/shadow"},
		{"mv /etc/group /etc/g && mkfifo /etc/group", "/etc/group not a regular file", "rm /etc/group && mv /etc/g /etc/group"},
		{"su deploy -c 'ln -s /etc ~/.ssh'", ".ssh/authorized_keys permission denied", "rm /home/deploy/.ssh"},
		{"su deploy -c 'ln -s /proc/1/root/etc ~/.ssh'", ".ssh", "rm /home/deploy/.ssh"},
		{"mount -t tmpfs none /home/deploy && mkdir /home/deploy/.ssh", "/home/deploy/.ssh mount", "umount /home/deploy"},
		{"rm -f /etc/.pwd.lock; mkdir /etc/.pwd.lock", "accounts", "rmdir /etc/.pwd.lock"},
	} {
		sh(t, vps, c.script)
		before := sh(t, vps, files)
		refused(t, 5, c.words, "set", vps, "--memory", "128M", "--user", "deploy:users", "--ssh-key", public, "--password-file", public)
		if after := sh(t, vps, files); after != before {
			t.Errorf("%s: it was\n%s\nand is\n%s", c.script, before, after)
		}
		if got := must(t, "inspect", vps); !strings.Contains(got, "67108864") || strings.Contains(got, "134217728") {
			t.Errorf("%s: the memory has changed: %s", c.script, got)
		}
		sh(t, vps, c.undo)
	}
	must(t, "set", vps, "--user", "deploy:users", "--ssh-key", public)
	refused(t, 5, "no group wheel", "set", vps, "--user", "another:wheel")
	refused(t, 5, "no group wheel", "create", name(t, "none"), "--template", "busybox", "--user", "another:wheel")
}

// Debian: a login by SSH with the key, and by su with the password.
func TestLoginInDebian(t *testing.T) {
	hostAsBefore(t)
	private, public := keyPair(t)
	vps := create(t, "debian-13-containers", "--user", "deploy:sudo", "--ssh-key", public)
	must(t, "start", "--wait=network", vps)
	ssh := func(user string) string {
		out, err := exec.Command("ssh", "-F", "none", "-i", private, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", user+"@"+address(t, vps, 0), "id", "-un", "&&", "id", "-Gn", "&&", "cat", ".bashrc", "|", "head", "-c1").CombinedOutput()
		if err != nil {
			return err.Error() + string(out)
		}
		return string(out)
	}
	eventually(t, "deploy logs in by SSH", func() bool { return strings.HasPrefix(ssh("deploy"), "deploy\ndeploy sudo\n#") })
	setPassword(t, "correct horse", vps)
	must(t, "set", vps, "--ssh-key", public)
	if got := ssh("root"); !strings.HasPrefix(got, "root\n") {
		t.Errorf("root by SSH: %s", got)
	}
	for password, want := range map[string]int{"correct horse\n": 0, "wrong\n": 1} {
		if r := croftWithin(usual, password, "exec", "--user", "deploy", vps, "--", "su", "root", "-c", "true"); r.status != want {
			t.Errorf("su with %q: %s", password, r)
		}
	}
	if got := sh(t, vps, "stat -c '%a %U %G' /etc/shadow /etc/gshadow && pwck -q -r && grpck -r && echo fine"); !strings.HasPrefix(got, "640 root shadow\n640 root shadow\n") || !strings.HasSuffix(got, "fine") {
		t.Errorf("its own checks say %s", got)
	}
}
