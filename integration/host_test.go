//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A site is a host's worth of VPSs of a test's own: what boots and shuts down
// all VPSs must not meet those of other tests.
type site struct {
	t         *testing.T
	root, run string
}

func newSite(t *testing.T) *site {
	t.Helper()
	sites := filepath.Join(filepath.Dir(world.root), "sites")
	if err := os.MkdirAll(sites, 0o711); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(sites, "")
	if err != nil {
		t.Fatal(err)
	}
	// A VPS's root has to get to its files.
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, root: filepath.Join(dir, "root"), run: filepath.Join(dir, "run")}
	t.Cleanup(func() {
		if r := s.try("destroy", "--force", "--all"); r.status != 0 {
			t.Error(r)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) try(args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	cmd := exec.CommandContext(ctx, world.croft, append(where(s.root, s.run), patient(args)...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"}
	cmd.Dir, cmd.WaitDelay = "/", slow(30*time.Second)
	return finish(cmd, args)
}

func (s *site) must(args ...string) result {
	s.t.Helper()
	r := s.try(args...)
	if r.status != 0 {
		s.t.Fatal(r)
	}
	return r
}

// vps makes one that has no network: what croft keeps of networks is the
// host's, and other tests use it.
func (s *site) vps(base string, options ...string) string {
	s.t.Helper()
	vps := name(s.t, base)
	s.must(append([]string{"create", "--template", "busybox", "--network", "none", vps}, options...)...)
	return vps
}

func (s *site) inspect(vps string) info {
	s.t.Helper()
	var i info
	if err := json.Unmarshal([]byte(s.must("inspect", vps).out), &i); err != nil {
		s.t.Fatal(err)
	}
	return i
}

// wantRunning compares which VPSs run.
func (s *site) wantRunning(when string, want ...string) {
	s.t.Helper()
	got := strings.Fields(s.must("list", "--quiet", "--filter", "status=running").out)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: %q run, not %q", when, got, want)
	}
}

// cut is a power cut: every process ends at once, what is in /run is gone, and
// so are cgroups.
func (s *site) cut() {
	s.t.Helper()
	for _, vps := range strings.Fields(s.must("list", "--quiet", "--filter", "status=running").out) {
		i := s.inspect(vps)
		for _, pid := range []int{i.MonitorPID, i.PID} {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				s.t.Fatalf("kill %d of %s: %v", pid, vps, err)
			}
		}
		eventually(s.t, vps+" has ended", func() bool { return gone(i.PID) && gone(i.MonitorPID) })
		s.removeCgroups(vps)
	}
	if err := os.RemoveAll(s.run); err != nil {
		s.t.Fatal(err)
	}
}

// removeCgroups removes what the kernel would not have after a reboot.
func (s *site) removeCgroups(vps string) {
	s.t.Helper()
	var dirs []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, vps) {
			dirs = append(dirs, path)
		}
		return nil // others remove theirs meanwhile
	})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Reverse(dirs) // what is in one first
	for _, dir := range dirs {
		eventually(s.t, dir+" can be removed", func() bool {
			err := unix.Rmdir(dir)
			return err == nil || errors.Is(err, unix.ENOENT)
		})
	}
}

// gone reports whether a process has ended; one that is a zombie has.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, after, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(after, "Z")
}

// lines are what was said of which VPS, in order: "NAME: started".
func said(r result) []string {
	var all []string
	for line := range strings.Lines(r.errOut) {
		line, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "croft: "), " after ")
		all = append(all, line)
	}
	return all
}

func TestHostBootAndShutdown(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	last := s.vps("last", "--boot-order", "3")
	yes := s.vps("yes", "--onboot", "yes", "--boot-order", "5")
	no := s.vps("no", "--onboot", "no")
	stopped, off, idle := s.vps("stopped"), s.vps("off"), s.vps("idle")
	s.must("start", "--wait", last, no, stopped, off)
	s.must("stop", stopped)
	s.must("exec", off, "poweroff")
	s.must("wait", off)
	s.wantRunning("before", last, no)

	// One of them has lost its monitor.
	if err := syscall.Kill(s.inspect(last).MonitorPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := s.must("host", "shutdown")
	if want := []string{no + ": stopped", last + ": stopped"}; r.out != "" || !slices.Equal(said(r), want) {
		t.Errorf("not %q: %s", want, r)
	}
	s.wantRunning("after the shutdown")
	if end := s.inspect(no).LastEnd; end == nil || end.Reason != "halted" {
		t.Errorf("%s ended so: %+v, not by its own shutdown", no, end)
	}
	if r := s.must("host", "shutdown"); r.errOut != "" {
		t.Errorf("nothing was left to stop: %s", r)
	}

	r = s.must("host", "boot", "--wait")
	if want := []string{yes + ": started", last + ": started"}; r.out != "" || !slices.Equal(said(r), want) {
		t.Errorf("not %q: %s", want, r)
	}
	s.wantRunning("after the boot", last, yes)
	if r := s.must("host", "boot"); r.errOut != "" {
		t.Errorf("nothing was left to start: %s", r)
	}

	s.cut()
	s.wantRunning("after the power cut")
	s.must("host", "boot", "--wait")
	s.wantRunning("after the boot after that", last, yes)

	s.must("set", yes, "--onboot", "no")
	s.must("set", idle, "--onboot", "yes")
	s.must("stop", last)
	s.cut()
	s.must("host", "boot")
	s.wantRunning("after it was stopped, others set, and another power cut", idle)
}

// One that cannot start is in nobody's way; the exit status says that it did
// not.
func TestHostBootGoesOn(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	var all []string
	for i := range 5 {
		all = append(all, s.vps("many", "--onboot", "yes", "--boot-order", strconv.Itoa(i/2)))
	}
	broken := filepath.Join(s.root, "vps", all[2], "fs", "upper", "sbin")
	if err := os.MkdirAll(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	// What overlay takes for a file that is not there any more.
	if err := unix.Mknod(filepath.Join(broken, "init"), unix.S_IFCHR, 0); err != nil {
		t.Fatal(err)
	}
	r := s.try("host", "boot")
	if r.status != 5 || !strings.Contains(r.errOut, "croft: "+all[2]+": cannot start: ") || !strings.Contains(r.errOut, "has no init") || strings.Count(r.errOut, ": started after ") != 4 {
		t.Error(r)
	}
	s.wantRunning("the others", all[0], all[1], all[3], all[4])
	s.must("host", "shutdown")
	s.wantRunning("after the shutdown")
}

// One that does not end in its own time is killed, and so is everyone when the
// time of all is over.
func TestHostShutdownTimeouts(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	stubborn := s.vps("stubborn", "--stop-timeout", "3s")
	init := filepath.Join(s.root, "vps", stubborn, "fs", "upper", "sbin", "init")
	if err := os.MkdirAll(filepath.Dir(init), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ntrap '' TERM INT USR1 USR2 HUP PWR\nwhile :; do sleep 1; done\n"
	if err := os.WriteFile(init, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	easy := s.vps("easy")
	for _, args := range [][]string{{"host", "shutdown"}, {"host", "shutdown", "--timeout", "1s"}} {
		s.must("start", stubborn, easy)
		r := s.try(args...)
		if r.status != 9 || !strings.Contains(r.errOut, stubborn+": cannot stop: it did not stop in ") {
			t.Error(r)
		}
		s.wantRunning("after the shutdown")
		s.must("host", "boot") // marked all the same
		s.wantRunning("after the boot", stubborn, easy)
		s.must("kill", "--all")
	}
}

func TestSet(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	vps := s.vps("set", "--boot-order", "7")
	settings := func() string {
		var v struct {
			OnBoot      string `json:"onboot"`
			BootOrder   int
			StopTimeout int `json:"stopTimeoutSeconds"`
			ShouldRun   bool
		}
		if err := json.Unmarshal([]byte(s.must("inspect", vps).out), &v); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s %d %d %v", v.OnBoot, v.BootOrder, v.StopTimeout, v.ShouldRun)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"list"}, "last 7 60 false"},
		{[]string{"set", vps, "--onboot", "yes"}, "yes 7 60 false"},
		{[]string{"start", vps}, "yes 7 60 true"},
		{[]string{"set", vps, "--boot-order", "0", "--stop-timeout", "2m"}, "yes 0 120 true"},
		{[]string{"kill", vps}, "yes 0 120 false"},
	} {
		s.must(c.args...)
		if got := settings(); got != c.want {
			t.Errorf("after %v: %s, not %s", c.args, got, c.want)
		}
	}
	checkRefusal(t, s.try("set", "it-nobody", "--onboot", "no"), 3, "it-nobody")
	checkRefusal(t, s.try("set", vps, "--onboot", "never"), 2, "--onboot never")
}

// A hostCheck is a line of host check.
type hostCheck struct{ Name, Status, Found, For, Remedy string }

func (s *site) check(status int) map[string]hostCheck {
	s.t.Helper()
	r := s.try("host", "check", "--json")
	if r.status != status {
		s.t.Fatal(r)
	}
	var all []hostCheck
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		s.t.Fatal(err)
	}
	byName := map[string]hostCheck{}
	for _, c := range all {
		if c.Found == "" || c.For == "" || (c.Status == "ok") != (c.Remedy == "") {
			s.t.Errorf("%+v", c)
		}
		byName[c.Name] = c
	}
	return byName
}

// The host that these tests run on can run VPSs, and says so; what has been
// tried is gone again.
func TestHostCheck(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	all := s.check(0)
	for _, name := range []string{"kernel", "user namespaces", "idmapped mounts", "overlay", "seccomp", "cgroups", "nftables for bridges", "iptables"} {
		if all[name].Status != "ok" {
			t.Errorf("other tests need it: %s: %+v", name, all[name])
		}
	}
	if len(all) < 25 {
		t.Errorf("only %d checks", len(all))
	}
	world := map[bool]string{true: "version 2", false: "version 1, and version 2 beside it, which VPSs see"}
	if got := all["cgroups"].Found; got != world[exists("/sys/fs/cgroup/cgroup.controllers")] {
		t.Errorf("cgroups: %s", got)
	}
	if by := all["cgroup manager"].Found; strings.HasPrefix(by, "systemd") != exists("/run/systemd/system") {
		t.Errorf("cgroup manager: %s", by)
	}
	lines := strings.Split(strings.TrimSuffix(s.must("host", "check").out, "\n"), "\n")
	if len(lines) < len(all)+1 || !strings.HasPrefix(lines[0], "STATUS ") {
		t.Errorf("%d checks:\n%s", len(all), strings.Join(lines, "\n"))
	}
	left, err := filepath.Glob(filepath.Join(s.root, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
}

// What is missing makes the exit status: here the files of VPSs cannot be
// where they should.
func TestHostCheckOfABadHost(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	dir := filepath.Dir(s.root)
	for _, d := range []string{"lower", "upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if err := unix.Mount("overlay", s.root, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(s.root, unix.MNT_DETACH)
	all := s.check(8)
	if all["idmapped mounts"].Status != "missing" && all["overlay"].Status != "missing" {
		t.Errorf("%+v", all)
	}
	if r := s.try("host", "check"); r.status != 8 || !strings.Contains(r.errOut, "croft: no VPS can run on this host; missing: ") {
		t.Error(r)
	}
}

// A firewall of the host's own that drops what VPSs send is named, with what
// to type; typed, it is in nobody's way.
func TestHostCheckNamesFirewalls(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	nft := func(script string) {
		t.Helper()
		if out, err := exec.Command("nft", script).CombinedOutput(); err != nil {
			t.Fatalf("nft %s: %v: %s", script, err, out)
		}
	}
	nft("table inet it_drop {\nchain forward { type filter hook forward priority 0; policy drop; }\n}")
	defer nft("delete table inet it_drop")
	c := s.check(0)["firewalls"]
	if c.Status != "warning" || c.Found != "nftables chain inet it_drop forward drops it" {
		t.Fatalf("%+v", c)
	}
	if out, err := exec.Command("sh", "-ec", c.Remedy).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", c.Remedy, err, out)
	}
	if c := s.check(0)["firewalls"]; c.Status != "ok" {
		t.Errorf("after its remedy: %+v", c)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// What make install installs is whole, and its init script boots and shuts
// down the host's VPSs.
func TestInstall(t *testing.T) {
	const script = "../packaging/install"
	if !exists(script) {
		t.Skip("croft is not built here: " + script + " is not there")
	}
	hostAsBefore(t)
	s := newSite(t)
	dir := filepath.Join(filepath.Dir(s.root), "installed")
	for range 2 { // over itself, too
		if out, err := exec.Command(script, world.croft, dir, "/usr").CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var got []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, e := d.Info()
			got, err = append(got, fmt.Sprintf("%v %s", info.Mode(), strings.TrimPrefix(path, dir))), e
		}
		return err
	})
	want := []string{
		"-rwxr-xr-x /etc/init.d/croft", "-rwxr-xr-x /usr/bin/croft", "-rw-r--r-- /usr/lib/systemd/network/05-croft.network",
		"-rw-r--r-- /usr/lib/systemd/system/croft.service", "-rw-r--r-- /usr/lib/udev/rules.d/85-croft.rules",
		"-rw-r--r-- /usr/share/bash-completion/completions/croft", "-rw-r--r-- /usr/share/fish/vendor_completions.d/croft.fish",
		"-rw-r--r-- /usr/share/zsh/site-functions/_croft",
	}
	pages, manErr := exec.Command(world.croft, "man", "--list").Output()
	if manErr != nil || len(strings.Fields(string(pages))) < 30 {
		t.Errorf("manual pages: %s, %v", pages, manErr)
	}
	for page := range strings.FieldsSeq(string(pages)) {
		want = append(want, "-rw-r--r-- /usr/share/man/man8/"+page+".8")
	}
	byName := func(a, b string) int { return strings.Compare(a[11:], b[11:]) }
	slices.SortFunc(want, byName)
	slices.SortFunc(got, byName)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("installed is, %v\n%s", err, strings.Join(got, "\n"))
	}
	for _, file := range []string{"/etc/init.d/croft", "/usr/lib/systemd/system/croft.service"} {
		text, err := os.ReadFile(dir + file)
		if err != nil || bytes.Contains(text, []byte("@")) || !bytes.Contains(text, []byte("/usr/bin/croft ")) && !bytes.Contains(text, []byte("=/usr/bin/croft\n")) {
			t.Errorf("%s, %v:\n%s", file, err, text)
		}
	}
	s.initScript(dir)
}

// initScript runs the installed init script with what is under test in the
// place of what it runs.
func (s *site) initScript(dir string) {
	t := s.t
	t.Helper()
	file := dir + "/etc/init.d/croft"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("croft=/usr/bin/croft"), []byte("croft="+world.croft))
	if err := os.WriteFile(file, text, 0o755); err != nil {
		t.Fatal(err)
	}
	vps := s.vps("booted", "--onboot", "yes")
	for _, c := range []struct {
		word   string
		status int
		runs   []string
	}{
		{"status", 3, nil}, {"start", 0, []string{vps}}, {"status", 0, []string{vps}}, {"restart", 0, []string{vps}},
		{"stop", 0, nil}, {"status", 3, nil}, {"odd", 2, nil},
	} {
		cmd := exec.Command(file, c.word)
		cmd.Env = []string{"CROFT_ROOT=" + s.root, "CROFT_RUN_DIR=" + s.run}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) || exitStatus(err) != c.status {
			t.Errorf("%s: exit %d, not %d: %v\n%s", c.word, exitStatus(err), c.status, err, out)
		}
		s.wantRunning(c.word, c.runs...)
	}
}
