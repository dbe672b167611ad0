//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeSSH is an ssh whose hosts are this one. It runs a command as sshd(8) does, with
// a croft that has other VPSs, and fails for the host "down".
const fakeSSH = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
host=$2; shift 2
[ "$host" != down ] || { echo "ssh: connect to host down port 22: Connection refused" >&2; exit 255; }
PATH=%s/$host:$PATH; export PATH
exec sh -c "$*"
`

// far makes the host "far", which has VPSs of its own, and "bare" without croft. It
// returns the PATH with ssh.
func far(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, open := range []string{dir, filepath.Dir(dir)} { // for the users of VPSs
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"ssh", "far", "bare", "root", "run"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("ssh/ssh", fmt.Sprintf(fakeSSH, dir))
	script("far/croft", fmt.Sprintf("#!/bin/sh\nexec %s --root %s/root --run-dir %[2]s/run \"$@\"\n", world.croft, dir))
	return filepath.Join(dir, "ssh") + ":/usr/bin:/bin:/usr/sbin:/sbin"
}

// On another host by ssh: commands, their exit status, standard input and output.
func TestAnotherHost(t *testing.T) {
	hostAsBefore(t)
	path := far(t)
	on := func(host, stdin string, args ...string) result {
		t.Helper()
		args = append([]string{"--host", host}, args...)
		cmd := command(context.Background(), args...)
		cmd.Args = append([]string{world.croft}, args...) // its directories are those of the other host
		cmd.Env = append(cmd.Env, "PATH="+path)
		cmd.Stdin = strings.NewReader(stdin)
		return finish(cmd, args)
	}
	here := create(t, "busybox", "--network", "none")
	vps := name(t, "far")
	want := func(r result, status int, out, errOut string) {
		t.Helper()
		if r.status != status || r.out != out || !strings.Contains(r.errOut, errOut) || errOut == "" && r.errOut != "" {
			t.Errorf("want %d, %q, %q: %s", status, out, errOut, r)
		}
	}
	if r := on("far", "", "create", "--template", "busybox", "--network", "none", vps); r.status != 0 || r.out != vps+"\n" {
		t.Fatal(r)
	}
	t.Cleanup(func() { want(on("ssh://root@far:22", "", "destroy", "--force", vps), 0, "", "") })
	want(on("far", "", "start", "--wait", vps), 0, "", "")
	want(on("far", "", "list", "--quiet"), 0, vps+"\n", "")
	if _, found := list(t)[vps]; found {
		t.Errorf("%s is here", vps)
	}
	words := `a  "b" 'c' $HOME * \d`
	want(on("far", "one\ntwo\n", "exec", vps, "--", "sh", "-c", `cat; echo "$1" >&2; exit 42`, "sh", words), 42, "one\ntwo\n", words+"\n")
	want(on("far", "", "exec", vps, "--", "sh", "-c", "exit 255"), 255, "", "")
	want(on("far", "", "exec", "nosuch", "--", "true"), 125, "", `no VPS named "nosuch"`)
	want(on("far", "", "start", vps), 5, "", "running already")
	want(on("far", "", "start", here), 3, "", "no VPS named")
	want(on("far", "", "start", "--nix"), 2, "", "no option --nix")
	want(on("bare", "", "list"), 8, "", "croft: bare has no croft: ")
	want(on("bare", "", "exec", vps, "--", "true"), 125, "", "croft: bare has no croft: ")
	want(on("down", "", "list"), 255, "", "Connection refused")
}
