//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Nonsense is refused by the option's name, changes nothing and costs nothing.
func TestBadInput(t *testing.T) {
	hostAsBefore(t)
	for _, bad := range []string{"", "-", "-x", "x-", "Web", "a_b", "a.b", "a/b", "..", "../x", "ä", "a b", "a\nb", strings.Repeat("a", 64)} {
		for _, verb := range [][]string{{"create", "--template", "busybox"}, {"start"}, {"destroy"}, {"inspect"}} {
			// A name that begins with a dash would be an option.
			r := try(append(verb, "--", bad)...)
			if r.status != 2 {
				t.Errorf("name %q: %s", bad, r)
			}
			checkRefusal(t, r, 2, "")
		}
	}
	for _, bad := range []struct{ option, value string }{
		{"--template", ""}, {"--template", ".x"}, {"--template", "oci:"}, {"--template", "a b"},
		{"--ip", ""}, {"--ip", "1.2.3"}, {"--ip", "1.2.3.4.5"}, {"--ip", "256.1.1.1"}, {"--ip", "0.0.0.0"},
		{"--ip", "127.0.0.1"}, {"--ip", "224.0.0.1"}, {"--ip", "255.255.255.255"}, {"--ip", "10.0.0.1/8"},
		{"--ip", "::"}, {"--ip", "::1"}, {"--ip", "ff02::1"}, {"--ip", "fe80::1%eth0"}, {"--ip", "1.2.3.4,5.6.7.8"},
		{"--memory", ""}, {"--memory", "0"}, {"--memory", "-1"}, {"--memory", "1Q"}, {"--memory", "M"}, {"--memory", "1e9"},
		{"--memory", "99999999999999999999"}, {"--memory", "8388608T"}, {"--memory", "1K"},
		{"--cpus", ""}, {"--cpus", "0"}, {"--cpus", "-1"}, {"--cpus", "two"}, {"--cpus", "NaN"}, {"--cpus", "1,5"},
		{"--pids", ""}, {"--pids", "0"}, {"--pids", "-5"}, {"--pids", "1.5"},
		{"--hostname", ""}, {"--hostname", "a b"}, {"--hostname", "-a"}, {"--hostname", strings.Repeat("a", 65)},
		{"--network", ""}, {"--network", "a b"},
		{"--dns", ""}, {"--dns", "resolver"}, {"--env", ""}, {"--env", "noequals"}, {"--env", "=x"},
		{"--sysctl", "net.ipv4.ip_forward"}, {"--no-such-option", "x"},
	} {
		args := []string{"create", bad.option + "=" + bad.value}
		if bad.option != "--template" {
			args = append(args, "--template=busybox")
		}
		refused(t, 2, bad.option, append(args, "bad-input")...)
	}
	refused(t, 3, "no-such-network", "create", "--template", "busybox", "--network", "no-such-network", "bad-input")
	refused(t, 3, "no such file", "create", "--template", "../no-such-file", "bad-input")
	refused(t, 3, "no-such-template", "create", "--template", "no-such-template", "bad-input")
	// The host's own kernel settings are no VPS's to change.
	for _, c := range []struct{ sysctl, why string }{
		{"net.core.rmem_max=1", "rmem_max"}, {"kernel.domainname=x", "may not"}, {"net.ipv4.nothere=1", "no such"},
		{"kernel.shmmax=-1", "invalid"}, {"user.nothere=1", "no such"},
	} {
		refused(t, 2, c.why, "create", "--template", "busybox", "--sysctl", c.sysctl, "bad-input")
	}
	refused(t, 2, "privileged", "create", "--template", "busybox", "--privileged", "--sysctl", "user.max_net_namespaces=9", "bad-input")
	refused(t, 2, "kernel.panic", "create", "--template", "busybox", "--sysctl", "kernel.panic=1", "bad-input")
	refused(t, 2, "", "create", "bad-input")
	refused(t, 2, "", "create", "--template", "busybox")
	refused(t, 2, "", "no-such-verb")
	refused(t, 3, "surplus", "list", "surplus")
	// Not what libcontainer starts this program as.
	refused(t, 2, "--template", "init", "bad-input")
	refused(t, 2, "NAME", "init")
	refused(t, 2, "--timeout", "stop", "--timeout", "soon", "x")
	refused(t, 2, "--for", "wait", "--for", "doomsday", "x")
	for _, verb := range []string{"start", "stop", "restart", "kill", "pause", "resume", "destroy", "status", "inspect", "logs", "wait"} {
		refused(t, 3, "nobody", verb, "nobody")
	}
	if r := try("enter", "nobody"); r.status != 125 {
		t.Error(r)
	}
	if left := list(t); len(left) != 0 {
		t.Errorf("made: %v", left)
	}
}

func TestOutput(t *testing.T) {
	hostAsBefore(t)
	if got := must(t, "list", "--json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("no VPS at all is %q", got)
	}
	vps := create(t, "busybox")
	if got := must(t, "list"); strings.Contains(got, "\x1b") || !strings.Contains(got, vps) || !strings.Contains(got, "stopped") {
		t.Errorf("%q", got)
	}
	if got := must(t, "status", vps); strings.TrimSpace(got) != "stopped" {
		t.Errorf("%q", got)
	}
	if got := must(t, "list", "--quiet"); got != vps {
		t.Errorf("%q", got)
	}
	if got := must(t, "version"); !strings.Contains(got, "croft") {
		t.Errorf("%q", got)
	}
	help := must(t, "help")
	for verb := range strings.FieldsSeq("create start stop restart kill pause resume destroy run exec enter console list status inspect logs wait template network version") {
		if !strings.Contains(help, "\n  "+verb) {
			t.Errorf("help does not name %s:\n%s", verb, help)
		}
		if got := must(t, verb, "--help"); !strings.Contains(got, verb) {
			t.Errorf("%s --help: %q", verb, got)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd := command(t.Context(), "list")
	cmd.Stdout = full
	if r := finish(cmd, []string{"list", ">/dev/full"}); r.status == 0 {
		t.Errorf("a result that was not written is success: %s", r)
	}
}

// copyOfCroft is a croft that any user can execute.
func copyOfCroft(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(world.croft)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("/tmp", name(t, "croft"))
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	return path
}

func TestWithoutRoot(t *testing.T) {
	hostAsBefore(t)
	croft := copyOfCroft(t)
	for _, args := range [][]string{{"list"}, {"create", "--template", "busybox", "x"}, {"start", "x"}, {"template", "list"}} {
		cmd := command(t.Context(), args...)
		cmd.Args = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", croft}, cmd.Args[1:]...)
		var err error
		if cmd.Path, err = exec.LookPath("setpriv"); err != nil {
			t.Fatal(err)
		}
		checkRefusal(t, finish(cmd, args), 7, "root")
	}
	for _, args := range [][]string{{"help"}, {"version"}, {"template", "recipe", "debian-12"}} {
		cmd := exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", croft}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v needs no root: %v: %s", args, err, out)
		}
	}
}

// A tool that is not installed is named, with what to do about it.
func TestMissingTool(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	show := hide(t, "iptables", "ip6tables", "iptables-save", "ip6tables-save", "iptables-restore", "ip6tables-restore")
	checkRefusal(t, try("start", vps), 8, "iptables")
	wantStatus(t, vps, "stopped")
	show()
	must(t, "start", "--wait", vps)
}

// hide makes programs look as if they were not installed, here and for what is
// started here, until show is called or the test ends.
func hide(t *testing.T, programs ...string) (show func()) {
	t.Helper()
	var hidden []string
	show = func() {
		for _, path := range hidden {
			if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", path, err)
			}
		}
		hidden = nil
	}
	t.Cleanup(show)
	for _, program := range programs {
		for dir := range strings.FieldsSeq("/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin") {
			path := filepath.Join(dir, program)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			// What several names lead to is covered once, by a file that
			// cannot be executed.
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(hidden, real) {
				continue
			}
			if err := unix.Mount("/dev/null", real, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			hidden = append(hidden, real)
		}
	}
	return show
}

// Limits that this host cannot give are accepted, with a warning.
func TestLimitsBeyondTheHost(t *testing.T) {
	vps := name(t, "beyond")
	t.Cleanup(func() { destroy(t, vps) })
	r := try("create", vps, "--template", "busybox", "--network", "none", "--cpus", "100000", "--memory", "4096T")
	if r.status != 0 || r.out != vps+"\n" ||
		!strings.Contains(r.errOut, "croft: warning: "+vps+": its limit of 100000 CPUs is more than ") ||
		!strings.Contains(r.errOut, "croft: warning: "+vps+": its memory limit of ") {
		t.Error(r)
	}
}

// A query with a mistyped root finds nothing, and leaves nothing behind.
func TestQueryOfNoRoot(t *testing.T) {
	dir := t.TempDir()
	root, run := filepath.Join(dir, "typo", "root"), filepath.Join(dir, "run")
	for line, want := range map[string]int{
		"list": 0, "stats --interval 0": 0, "template list": 0, "network list": 0, "publish list": 0,
		"list web": 3, "status web": 3, "inspect web": 3, "stats web": 3, "top web": 3, "logs web": 3, "wait web": 3,
		"firewall web list": 3, "route web list": 3, "publish web list": 3, "template inspect web": 3, "network inspect web": 3,
	} {
		cmd := exec.Command(world.croft, append(where(root, run), strings.Fields(line)...)...)
		r := finish(cmd, strings.Fields(line))
		if r.status != want || !strings.HasPrefix(r.errOut, "croft: warning: no VPS or template was ever created in "+root+"\n") {
			t.Error(r)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Fatalf("%s left %v, %v", line, left, err)
		}
	}
}
