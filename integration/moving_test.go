//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// An otherHost is a second host on this machine: a mount namespace with a /run of its own,
// a network namespace, and directories of croft. Its name for ssh is "far".
type otherHost struct {
	*testing.T
	dir  string
	hold *exec.Cmd // a process that keeps the namespaces
	path string    // with ssh
}

// newOtherHost makes another host, which ends with the test.
func newOtherHost(t *testing.T) *otherHost {
	t.Helper()
	h := &otherHost{T: t, dir: t.TempDir()}
	for _, open := range []string{h.dir, filepath.Dir(h.dir)} { // for the users of VPSs
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"ssh", "far", "here", "root", "etc/hooks.d"} {
		if err := os.MkdirAll(filepath.Join(h.dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.hold = exec.Command("sh", "-c", "mount --make-rprivate / && mount -t tmpfs none /run && ip link set lo up && echo ready && exec sleep 100000")
	h.hold.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	ready, err := h.hold.StdoutPipe()
	if err == nil {
		err = h.hold.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.hold.Process.Kill(); _ = h.hold.Wait() })
	if _, err := ready.Read(make([]byte, 8)); err != nil {
		t.Fatal("the other host is not ready: ", err)
	}
	h.script("ssh/ssh", fmt.Sprintf("#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nPATH=%s/far:$PATH; export PATH\nexec nsenter -t %d -m -n sh -c \"$*\"\n", h.dir, h.hold.Process.Pid))
	h.script("far/croft", fmt.Sprintf("#!/bin/sh\nexec env CROFT_CONFIG_DIR=%s/etc %s --root %[1]s/root --run-dir /run/croft \"$@\"\n", h.dir, world.croft))
	// The way back, to the host "near": this one.
	h.script("far/ssh", fmt.Sprintf("#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nPATH=%s/here:$PATH; export PATH\nexec nsenter -t %d -m -n sh -c \"$*\"\n", h.dir, os.Getpid()))
	h.script("here/croft", fmt.Sprintf("#!/bin/sh\nexec env CROFT_CONFIG_DIR=%s/near %s --root %s --run-dir %s \"$@\"\n", h.dir, world.croft, world.root, world.run))
	h.path = filepath.Join(h.dir, "ssh") + ":" + os.Getenv("PATH")
	return h
}

func (h *otherHost) script(name, text string) {
	h.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o755); err != nil {
		h.Fatal(err)
	}
}

// here is croft on this host, which reaches the other one.
func (h *otherHost) here(args ...string) *exec.Cmd {
	cmd := command(context.Background(), args...)
	cmd.Env = append(cmd.Env, "PATH="+h.path, "CROFT_CONFIG_DIR="+h.dir+"/near")
	return cmd
}

// move is croft move.
func (h *otherHost) move(args ...string) result {
	args = append([]string{"move"}, args...)
	return finish(h.here(args...), args)
}

// try runs croft on the other host.
func (h *otherHost) try(args ...string) result {
	args = append([]string{"-H", "far"}, args...)
	cmd := h.here()
	cmd.Args = append([]string{world.croft}, args...) // its directories are those of the other host
	return finish(cmd, args)
}

func (h *otherHost) must(args ...string) string {
	h.Helper()
	r := h.try(args...)
	if r.status != 0 {
		h.Fatal(r)
	}
	return strings.TrimSuffix(r.out, "\n")
}

// where says on which of the two hosts the VPS runs.
func (h *otherHost) where(vps, there string) string {
	far := strings.Contains("\n"+h.must("list", "--format", "{{.name}} {{.status}}"), "\n"+there+" running")
	return fmt.Sprintf("here %v, there %v", status(h.T, vps) == "running", far)
}

const (
	here, there = "here true, there false", "here false, there true"
)

// A running VPS moves to another host, with the files that it has written until its end,
// its address and its credentials. What is wrong is refused before anything changes.
func TestMove(t *testing.T) {
	hostAsBefore(t)
	far := newOtherHost(t)
	vps := boot(t, "busybox", "--memory", "64M", "--restart", "no", "--credential", "token=secret")
	moved := vps + "-far"
	t.Cleanup(func() { far.try("destroy", "--force", "--if-exists", moved); far.try("network", "remove", "croft0") })
	at := address(t, vps, 0)
	sh(t, vps, `mkdir /srv/data && echo kept >/srv/data/file && ln /srv/data/file /srv/data/link && chown 33:33 /srv/data && rm /etc/issue
		(while :; do date >>/srv/data/written; usleep 10000; done) >/dev/null 2>&1 &`)
	must(t, "snapshot", "create", vps, "before")

	taken := "taken-" + vps
	far.must("create", "--template", "busybox", "--ip", at, taken)
	before := far.must("list")
	checkRefusal(t, far.move("--check", vps, "far", "--name", taken), 5, "exists there")
	checkRefusal(t, far.move("--check", vps, "far", "--name", moved), 5, at)
	checkRefusal(t, far.move(vps, "far", "--name", moved), 5, at)
	checkRefusal(t, far.move(vps, "far", "--name", moved, "--network", "croft0=nosuch"), 5, "does not exist")
	if now := far.must("list"); now != before || far.where(vps, moved) != here || exists(world.root+"/vps/"+vps+"/move.json") {
		t.Errorf("a refused move has changed something: %s", now)
	}
	far.must("destroy", "--force", taken)
	if r := far.move("--check", vps, "far", "--name", moved); r.status != 0 || !strings.Contains(r.errOut, "snapshots (1) are moved too") {
		t.Error(r)
	}

	r := far.move(vps, "far", "--name", moved)
	if r.status != 0 || r.out != moved+"\n" {
		t.Fatal(r)
	}
	if got := far.where(vps, moved); got != there {
		t.Errorf("it runs %s", got)
	}
	got := far.must("exec", moved, "--", "sh", "-c", `cat /srv/data/link; stat -c %u:%h /srv/data /srv/data/file; ls /etc/issue 2>/dev/null; ip -4 addr show eth0`)
	if !strings.HasPrefix(got, "kept\n33:") || !strings.Contains(got, "0:2\n") || strings.Contains(got, "issue") || !strings.Contains(got, at) {
		t.Errorf("there it has %s", got)
	}
	refused(t, 5, "was moved to far", "start", vps)
	must(t, "host", "boot")
	if got := far.where(vps, moved); got != there {
		t.Errorf("after a boot of the source: %s", got)
	}
	checkRefusal(t, far.move("--abort", vps), 5, "belongs to far")
	far.must("destroy", "--force", moved)
	if r := far.move("--abort", vps); r.status != 0 || status(t, vps) != "running" {
		t.Error(r)
	}
	if got := sh(t, vps, "cat /srv/data/file"); got != "kept" {
		t.Errorf("back here it has %q", got)
	}
}

// A VPS with plain storage, one with a disk limit, and one that is imported with a limit
// have the same kind of files on the other host, and the limit holds there.
func TestMoveOfOtherStorage(t *testing.T) {
	hostAsBefore(t)
	far := newOtherHost(t)
	for _, c := range []struct{ name, options, fs string }{
		{"plain", "--storage plain", "plain"},
		{"limited", "--disk 64M", "overlay"},
		{"plain and limited", "--storage plain --disk 64M", "plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			vps := boot(t, "busybox", append(strings.Fields(c.options), "--network", "none", "--memory", "64M")...)
			moved := vps + "-far"
			t.Cleanup(func() { far.try("destroy", "--force", "--if-exists", moved) })
			sh(t, vps, `mkdir -p /srv/d/sub /var/lib/docker/x; cd /srv/d; echo kept >file; ln file link; chown 33:44 sub; mkfifo fifo; ln -s nowhere dangling
				head -c 9000000 /dev/urandom >large; rm /etc/issue; mv /bin/vi /bin/vi2 2>/dev/null; echo x >/var/lib/docker/x/file; chmod 4750 file`)
			// Changes while the files are copied.
			sh(t, vps, `(n=0; while :; do n=$((n+1)); echo $n >/srv/d/now; echo $n >/srv/d/n$((n%9)); rm -f /srv/d/n$((n%5)); usleep 20000; done) >/dev/null 2>&1 &`)
			if r := far.move(vps, "far", "--name", moved); r.status != 0 {
				t.Fatal(r)
			}
			if got := far.must("list", "--format", "{{.storage}}", moved); got != c.fs {
				t.Errorf("its storage is %s there", got)
			}
			dir := must(t, "mount", vps)
			list := `find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./etc -o -path ./tmp -o -path ./var/log -o -path ./var/lib/docker \) -prune -o -print |
				sort | while read f; do if [ -d "$f" ]; then stat -c '%n %F %a' "$f"; else stat -c '%n %F %h %s %a' "$f"; fi; done`
			// Owners are others on each host. The files of a start differ.
			here, err := exec.Command("sh", "-c", "cd "+dir+" && "+list).Output()
			must(t, "umount", vps)
			if err != nil || len(here) < 1000 {
				t.Fatalf("%v: %s", err, here)
			}
			there := far.must("exec", moved, "--", "sh", "-c", "cd / && "+list)
			if there+"\n" != string(here) {
				t.Errorf("here and there differ:\n%s", linesOfOne(string(here), there))
			}
			if got := far.must("exec", moved, "--", "sh", "-c", "cat /srv/d/link; stat -c %u:%g /srv/d/sub; ls /etc/issue 2>&1; cat /var/lib/docker/x/file"); !strings.HasPrefix(got, "kept\n33:44\n") || !strings.HasSuffix(got, "\nx") || !strings.Contains(got, "No such") {
				t.Errorf("there it has %s", got)
			}
			if strings.Contains(c.options, "--disk") {
				checkLimited(t, moved, far.try)
			}
		})
	}
}

// linesOfOne returns the lines that only one of two texts has.
func linesOfOne(a, b string) string {
	var only strings.Builder
	for n, text := range []string{a, b} {
		for line := range strings.Lines(text) {
			if other := []string{b, a}[n]; !strings.Contains("\n"+other+"\n", "\n"+strings.TrimSuffix(line, "\n")+"\n") {
				fmt.Fprintf(&only, "%d: %s", n, line)
			}
		}
	}
	return only.String()
}

// checkLimited checks that the VPS has a disk of 64 MiB in which its 9 MB count.
func checkLimited(t *testing.T, vps string, croft func(...string) result) {
	t.Helper()
	r := croft("exec", vps, "--", "sh", "-c", "df -k / | tail -1 | awk '{print ($2 > 40000 && $2 < 70000) \" \" ($3 > 8000 && $3 < 40000)}'; dd if=/dev/zero of=/srv/full bs=1M count=90 2>&1; rm /srv/full")
	if r.status != 0 || !strings.HasPrefix(r.out, "1 1\n") || !strings.Contains(r.out, "No space") {
		t.Errorf("its disk: %v", r)
	}
}

// The files of a VPS that is imported with a limit, from the backup or by an option, count
// against that.
func TestImportWithLimit(t *testing.T) {
	t.Run("of the backup", func(t *testing.T) { importWithLimit(t, []string{"--disk", "64M"}, nil) })
	t.Run("by an option", func(t *testing.T) { importWithLimit(t, nil, []string{"--disk", "64M"}) })
}

func importWithLimit(t *testing.T, create, restore []string) {
	t.Helper()
	hostAsBefore(t)
	vps := boot(t, "busybox", append(create, "--network", "none")...)
	sh(t, vps, "head -c 9000000 /dev/urandom >/srv/large; rm /etc/issue")
	want := sh(t, vps, "sha256sum </srv/large")
	must(t, "stop", vps)
	archive := filepath.Join(t.TempDir(), "vps.tar")
	must(t, "export", vps, archive)
	must(t, "destroy", vps)
	must(t, append([]string{"import", archive}, restore...)...)
	if got := must(t, "template", "list", "--format", "{{.name}} {{.former}}"); strings.Contains(got, "busybox true") {
		t.Errorf("the image of the backup is still there: %s", got)
	}
	must(t, "start", vps)
	checkLimited(t, vps, try)
	if got := sh(t, vps, "sha256sum </srv/large; ls /etc/issue 2>&1 || true"); !strings.HasPrefix(got, want) || !strings.Contains(got, "No such") {
		t.Errorf("it has %s", got)
	}
}

// A VPS that is moved ten times has no more layers than at first, and its files.
func TestMoveOftenKeepsFewLayers(t *testing.T) {
	hostAsBefore(t)
	far := newOtherHost(t)
	vps := boot(t, "busybox", "--network", "none", "--memory", "64M")
	t.Cleanup(func() { far.try("destroy", "--force", "--if-exists", vps+"-far") })
	before := layersOf(t, vps)
	sh(t, vps, "mkdir /srv/d; echo kept >/srv/d/file")
	for n := range 5 {
		sh(t, vps, fmt.Sprintf("echo %d >/srv/d/%[1]d; rm -f /srv/d/%d", n, n-2))
		if r := far.move("--remove-source", "--name", vps+"-far", vps, "far"); r.status != 0 {
			t.Fatal(r)
		}
		far.must("exec", vps+"-far", "--", "sh", "-c", fmt.Sprintf("echo %d >/srv/d/far; cp /srv/d/far /srv/d/far-%[1]d", n))
		if r := far.try("move", "--remove-source", "--name", vps, vps+"-far", "near"); r.status != 0 {
			t.Fatal(r)
		}
		if now := layersOf(t, vps); now != before {
			t.Fatalf("after %d moves it has the layers %s and not %s", 2*n+2, now, before)
		}
	}
	if got := sh(t, vps, "cat /srv/d/file /srv/d/far; ls /srv/d"); got != "kept\n4\n3\n4\nfar\nfar-0\nfar-1\nfar-2\nfar-3\nfar-4\nfile" {
		t.Errorf("it has %q", got)
	}
}

// layersOf returns the template of the VPS, and its layers.
func layersOf(t *testing.T, vps string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(world.root, "vps", vps, "vps.json"))
	var v struct {
		Template struct {
			Digest string
			Layers []string
		}
		Frozen []struct{ ID string }
	}
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil || len(v.Template.Layers) == 0 {
		t.Fatal(string(text), err)
	}
	return fmt.Sprint(v.Template, v.Frozen)
}

// A moveKilled is a moment at which a move is killed: a hook runs on the host with these
// settings. Then the VPS runs there.
type moveKilled struct{ config, hook, runs string }

// killMove kills a move of vps, which has the name moved on the other host.
func (h *otherHost) killMove(t *testing.T, vps, moved string, c moveKilled, options ...string) {
	t.Helper()
	reached, release := h.hookWaits(t, c.config, c.hook)
	args := append([]string{"--lock-timeout", "60s", "move", vps, "far", "--name", moved}, options...) // the guard of the last one may still work
	cmd := h.here(args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hook runs", reached)
	kill9(t, cmd.Process.Pid)
	release()
	_ = cmd.Wait() // what it has started may hold its output
	eventually(t, "it runs on one host", func() bool {
		if now := h.where(vps, moved); now == "here true, there true" {
			t.Fatal("it runs on both hosts")
		} else {
			return now == c.runs
		}
		return false
	})
}

// hookWaits has a hook wait on the host with these settings, until release or the end of
// the test. reached reports whether it runs.
func (h *otherHost) hookWaits(t *testing.T, config, hook string) (reached func() bool, release func()) {
	t.Helper()
	begun, end := filepath.Join(h.dir, "reached-"+hook), filepath.Join(h.dir, "release-"+hook)
	file := filepath.Join(h.dir, config, "hooks.d", "10-waits-"+hook)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	h.script(config+"/hooks.d/10-waits-"+hook, fmt.Sprintf("#!/bin/sh\n[ $1 = %s ] || exit 0\n[ ! -e %s ] || exit 0\ntouch %[2]s\nwhile [ ! -e %s ]; do sleep 0.1; done\n", hook, begun, end))
	release = func() {
		if err := os.WriteFile(end, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(release)
	return func() bool { return exists(begun) }, release
}

// The command is killed while a hook runs, before the stop, after it, when the other host
// has a copy, and when the VPS belongs to that. Then the VPS runs on exactly one host, and
// the same command ends the move.
func TestKilledMove(t *testing.T) {
	hostAsBefore(t)
	far := newOtherHost(t)
	vps := boot(t, "busybox", "--network", "none", "--memory", "64M")
	moved := vps + "-far"
	t.Cleanup(func() { far.try("destroy", "--force", "--if-exists", moved) })
	sh(t, vps, "echo kept >/srv/file")
	must(t, "snapshot", "create", vps, "before")
	sh(t, vps, "echo more >>/srv/file")
	for _, c := range []moveKilled{
		{"near", "pre-stop", here}, {"near", "post-stop", here}, {"etc", "post-create", here}, {"etc", "pre-start", there},
	} {
		t.Run(c.hook, func(t *testing.T) { far.killMove(t, vps, moved, c) })
		if t.Failed() {
			return
		}
		if c.runs == here {
			eventually(t, "the other host has nothing of it", func() bool { return far.must("list", "--quiet") == "" && far.images() == "" })
		}
	}
	if got := far.must("exec", moved, "--", "cat", "/srv/file"); got != "kept\nmore" {
		t.Errorf("there it has %q", got)
	}
	if got := far.must("snapshot", "diff", moved, "before"); !strings.Contains(got, "C /srv/file") {
		t.Errorf("since the snapshot it has changed there: %s", got)
	}
	eventually(t, "the guard has completed the move", func() bool { return must(t, "list", "--format", "{{.move.step}}", vps) == "moved" })
	refused(t, 5, "moved to far", "--lock-timeout", "60s", "start", vps)
	checkRefusal(t, far.move("--lock-timeout", "60s", vps, "far", "--name", moved), 5, "was moved to far already")
}

// Processes go on on the other host with their memory and their pids, and come back. If they
// cannot be made again there, they go on here.
func TestLiveMove(t *testing.T) {
	hostAsBefore(t)
	withCRIU(t)
	far := newOtherHost(t)
	vps := boot(t, "busybox", "--privileged", "--restart", "no", "--memory", "64M")
	moved := vps + "-far"
	t.Cleanup(func() {
		far.try("destroy", "--force", "--if-exists", moved)
		far.try("network", "remove", "croft0")
	})
	sh(t, vps, "echo kept >/srv/file")
	background(t, "exec", vps, "--", "sleep", "3600")
	eventually(t, "what cannot be saved is refused", func() bool {
		r := far.move("--live", vps, "far", "--name", moved)
		return r.status == 5 && strings.Contains(r.errOut, "belongs to a command of croft exec")
	})
	sh(t, vps, "killall sleep")
	checkRefusal(t, far.move("--live", "--timeout", "5s", vps, "far"), 2, "--timeout")
	sh(t, vps, counter)
	eventually(t, "it counts", func() bool { return number(t, vps, "/tmp/count") > 3 })
	count, pid := number(t, vps, "/tmp/count"), number(t, vps, "/tmp/pid")
	there := func(file string) (n int) {
		_, _ = fmt.Sscan(far.try("exec", moved, "--", "cat", file).out, &n)
		return n
	}

	hook := filepath.Join(far.dir, "etc/hooks.d/10-refuses")
	far.script("etc/hooks.d/10-refuses", "#!/bin/sh\n[ $1 != pre-start ]\n")
	if r := far.move("--live", vps, "far", "--name", moved); r.status == 0 || !strings.Contains(r.errOut, "does not start on far") {
		t.Errorf("with a hook that refuses it there: %v", r)
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on counting here", func() bool { return number(t, vps, "/tmp/count") > count })
	if got := number(t, vps, "/tmp/pid"); got != pid || far.where(vps, moved) != here {
		t.Errorf("the process %d was %d, and it runs %s", got, pid, far.where(vps, moved))
	}

	count = number(t, vps, "/tmp/count")
	if r := far.move("--live", "--remove-source", vps, "far", "--name", moved); r.status != 0 {
		t.Fatal(r)
	}
	eventually(t, "it goes on counting there", func() bool { return there("/tmp/count") > count })
	if got := there("/tmp/pid"); got != pid {
		t.Errorf("the process %d was %d", got, pid)
	}
	if got := far.must("exec", moved, "--", "cat", "/srv/file"); got != "kept" {
		t.Errorf("there it has %q", got)
	}
	count = there("/tmp/count")
	if r := far.try("move", "--live", "--name", vps, moved, "near"); r.status != 0 {
		t.Fatal(r)
	}
	eventually(t, "it goes on counting here", func() bool { return number(t, vps, "/tmp/count") > count })
	must(t, "stop", vps)
	if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
		t.Errorf("it ended so: %+v", end)
	}
}

// A live move is killed when the processes are saved, when the other host has a copy, and
// when they begin there. Then they go on on exactly one host.
func TestKilledLiveMove(t *testing.T) {
	hostAsBefore(t)
	withCRIU(t)
	far := newOtherHost(t)
	vps := boot(t, "busybox", "--privileged", "--network", "none", "--memory", "64M")
	moved := vps + "-far"
	t.Cleanup(func() { far.try("destroy", "--force", "--if-exists", moved) })
	sh(t, vps, counter)
	eventually(t, "it counts", func() bool { return number(t, vps, "/tmp/count") > 3 })
	pid := number(t, vps, "/tmp/pid")
	for _, c := range []moveKilled{{"near", "post-stop", here}, {"etc", "post-create", here}, {"etc", "pre-start", there}} {
		t.Run(c.hook, func(t *testing.T) {
			far.killMove(t, vps, moved, c, "--live")
			croft, name := try, vps
			if c.runs == there {
				croft, name = far.try, moved
			}
			// A boot would have emptied /tmp and ended the process.
			eventually(t, "its process goes on", func() bool {
				return croft("exec", name, "--", "sh", "-c", fmt.Sprintf("n=$(cat /tmp/count); kill -0 %d && sleep 0.3 && [ $(cat /tmp/count) -gt $n ]", pid)).status == 0
			})
		})
		if t.Failed() {
			return
		}
	}
	eventually(t, "the guard has completed the move", func() bool { return must(t, "list", "--format", "{{.move.step}}", vps) == "moved" })
	if exists(world.root + "/vps/" + vps + "/checkpoint") {
		t.Error("the source has the memory still")
	}
}
