//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// An oci is croft as an OCI runtime, under one of its names, with a directory
// of containers and a bundle.
type oci struct {
	t            *testing.T
	program      []string
	root, bundle string
}

// newOCI makes a bundle whose process is args, by the runtime's own spec, in
// busybox. Containers that are left in the end are deleted.
func newOCI(t *testing.T, program []string, args ...string) *oci {
	t.Helper()
	dir := t.TempDir()
	o := &oci{t: t, program: program, root: filepath.Join(dir, "root"), bundle: filepath.Join(dir, "bundle")}
	bin := filepath.Join(o.bundle, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), ociBusybox(t), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, applet := range strings.Fields("sh cat echo false head id kill sleep stty touch true tty") {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil {
			t.Fatal(err)
		}
	}
	o.must("spec", "--bundle", o.bundle)
	o.change(func(s *specs.Spec) {
		s.Process.Args, s.Process.Terminal = args, false
		s.Root.Readonly = false
	})
	t.Cleanup(func() {
		for _, id := range strings.Fields(o.try("list", "--quiet").out) {
			o.must("delete", "--force", id)
		}
	})
	return o
}

// ociBusybox is the busybox of the template, which is static.
func ociBusybox(t *testing.T) []byte {
	t.Helper()
	r := try("run", "--rm", "--network", "none", "--name", name(t, "busybox"), "--template", "busybox", "--", "cat", "/bin/busybox")
	if r.status != 0 {
		t.Fatal(r)
	}
	return []byte(r.out)
}

// change edits the bundle.
func (o *oci) change(edit func(*specs.Spec)) {
	o.t.Helper()
	file := filepath.Join(o.bundle, "config.json")
	data, err := os.ReadFile(file)
	if err != nil {
		o.t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(data, &s); err != nil {
		o.t.Fatal(err)
	}
	edit(&s)
	if data, err = json.Marshal(s); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		o.t.Fatal(err)
	}
}

func (o *oci) command(ctx context.Context, args ...string) *exec.Cmd {
	words := slices.Concat(o.program, []string{"--root", o.root}, args)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"}
	cmd.Dir = o.bundle
	if _, err := os.Stat(cmd.Dir); err != nil {
		cmd.Dir = "/"
	}
	cmd.WaitDelay = slow(30 * time.Second)
	return cmd
}

func (o *oci) try(args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	return finish(o.command(ctx, args...), args)
}

func (o *oci) must(args ...string) string {
	o.t.Helper()
	r := o.try(args...)
	if r.status != 0 {
		o.t.Fatal(r)
	}
	return strings.TrimSuffix(r.out, "\n")
}

// background starts one whose stdio is none of ours: the container keeps it.
func (o *oci) background(args ...string) {
	o.t.Helper()
	cmd := o.command(o.t.Context(), args...)
	if err := cmd.Run(); err != nil {
		o.t.Fatalf("%v: %v", args, err)
	}
}

// refused wants a failure that says words.
func (o *oci) refused(status int, words string, args ...string) {
	o.t.Helper()
	if r := o.try(args...); r.status != status || !strings.Contains(r.errOut, words) {
		o.t.Errorf("exit %d and %q expected: %s", status, words, r)
	}
}

type ociState struct {
	Version string `json:"ociVersion"`
	ID      string
	PID     int
	Status  string
	Bundle  string
}

func (o *oci) state(id string) (s ociState) {
	o.t.Helper()
	if err := json.Unmarshal([]byte(o.must("state", id)), &s); err != nil {
		o.t.Fatal(err)
	}
	return s
}

// ended waits until init has.
func (o *oci) ended(id string) {
	o.t.Helper()
	eventually(o.t, id+" is stopped", func() bool { return o.state(id).Status == "stopped" })
}

// ociPrograms are the names under which croft is an OCI runtime: a word, and
// links to it.
func ociPrograms(t *testing.T) map[string][]string {
	t.Helper()
	dir := t.TempDir()
	all := map[string][]string{"croft oci": {world.croft, "oci"}}
	for _, n := range []string{"croft-oci", "runc"} {
		link := filepath.Join(dir, n)
		if err := os.Symlink(world.croft, link); err != nil {
			t.Fatal(err)
		}
		all[n] = []string{link}
	}
	return all
}

func TestOCILife(t *testing.T) {
	hostAsBefore(t)
	for called, program := range ociPrograms(t) {
		t.Run(called, func(t *testing.T) {
			o := newOCI(t, program, "sleep", "1000")
			id := name(t, "oci")
			o.change(func(s *specs.Spec) { s.Linux.CgroupsPath = "/" + id })
			pidFile := filepath.Join(t.TempDir(), "pid")
			o.background("create", "--bundle", o.bundle, "--pid-file", pidFile, id)
			s := o.state(id)
			if pid, err := os.ReadFile(pidFile); err != nil || string(pid) != strconv.Itoa(s.PID) || s.PID == 0 {
				t.Errorf("the pid file says %q, %v; state %+v", pid, err, s)
			}
			if s.Status != "created" || s.ID != id || s.Bundle != o.bundle || s.Version == "" {
				t.Errorf("state %+v", s)
			}
			o.refused(1, "container with given ID already exists", "create", id)
			o.must("start", id)
			o.refused(1, "cannot start an already running container", "start", id)
			o.refused(1, "that is not stopped: running", "delete", id)
			if r := o.try("exec", id, "sh", "-c", "echo out; echo err >&2; exit 42"); r.status != 42 || r.out != "out\n" || r.errOut != "err\n" {
				t.Error(r)
			}
			o.refused(255, "executable file not found in $PATH", "exec", id, "no-such-command")
			var pids []int
			if err := json.Unmarshal([]byte(o.must("ps", "--format", "json", id)), &pids); err != nil || !slices.Equal(pids, []int{s.PID}) {
				t.Errorf("ps: %v, %v; init is %d", pids, err, s.PID)
			}
			if got := o.must("ps", id); !strings.Contains(got, "sleep 1000") || strings.Count(got, "\n") != 1 {
				t.Errorf("ps: %s", got)
			}
			if got := o.must("list", "--format", "json"); !strings.HasPrefix(got, `[{"ociVersion":"`+s.Version+`","id":"`+id+`","pid":`+strconv.Itoa(s.PID)+`,"status":"running",`) {
				t.Errorf("list: %s", got)
			}
			o.must("pause", id)
			if got := o.state(id).Status; got != "paused" {
				t.Errorf("a paused one is %s", got)
			}
			o.refused(255, "cannot exec in a paused container", "exec", id, "true")
			o.must("resume", id)
			o.must("update", "--pids-limit", "33", id)
			if got := o.must("events", "--stats", id); !strings.HasPrefix(got, `{"type":"stats","id":"`+id+`"`) || !strings.Contains(got, `"limit":33`) {
				t.Errorf("events: %s", got)
			}
			o.must("kill", id, "KILL")
			o.ended(id)
			if s := o.state(id); s.PID != 0 {
				t.Errorf("an ended one has a pid: %+v", s)
			}
			o.refused(1, "container not running", "kill", id)
			o.must("kill", "--all", id)
			o.refused(255, "cannot exec in a stopped container", "exec", id, "true")
			o.must("delete", id)
			o.refused(1, "container does not exist", "state", id)
			o.refused(1, "container does not exist", "delete", id)
			o.must("delete", "--force", id)
		})
	}
}

func TestOCIRun(t *testing.T) {
	hostAsBefore(t)
	o := newOCI(t, []string{world.croft, "oci"}, "sh", "-c", "cat; echo err >&2; exit 7")
	id := name(t, "oci")
	cmd := o.command(t.Context(), "run", id)
	cmd.Stdin = strings.NewReader("typed")
	if r := finish(cmd, nil); r.status != 7 || r.out != "typed" || r.errOut != "err\n" {
		t.Error(r)
	}
	o.change(func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", "kill -TERM $$; sleep 1000"}
		s.Linux.Namespaces = withoutPID(s)
	})
	if r := o.try("run", id); r.status != 128+int(unix.SIGTERM) {
		t.Error(r)
	}
	o.change(func(s *specs.Spec) { s.Process.Args = []string{"no-such-command"} })
	log := filepath.Join(t.TempDir(), "log")
	r := o.try("--log", log, "--log-format", "json", "run", id)
	if r.status != 1 || !strings.Contains(r.errOut, `exec: "no-such-command": executable file not found in $PATH`) || strings.Count(r.errOut, "\n") != 1 {
		t.Error(r)
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var entry struct{ Level, Msg, Time string }
	if err := json.Unmarshal(data, &entry); err != nil || entry.Level != "error" || entry.Msg+"\n" != r.errOut {
		t.Errorf("log %s: %v", data, err)
	}
	if _, err := time.Parse(time.RFC3339, entry.Time); err != nil {
		t.Errorf("log %s: %v", data, err)
	}
	if got := o.must("list", "--quiet"); got != "" {
		t.Errorf("run leaves %s", got)
	}
}

// withoutPID are s's namespaces but the pid one: init has no special signals.
func withoutPID(s *specs.Spec) []specs.LinuxNamespace {
	return slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
}

func TestOCITerminal(t *testing.T) {
	hostAsBefore(t)
	o := newOCI(t, []string{world.croft, "oci"}, "sh", "-c", "tty; stty size; read line; echo got $line; exit 3")
	o.change(func(s *specs.Spec) { s.Process.Terminal = true })
	id := name(t, "oci")
	o.refused(1, "cannot allocate tty if runc will detach without setting console socket", "create", id)

	t.Run("run", func(t *testing.T) {
		term := onTerminalOf(t, o.command(t.Context(), "run", id))
		term.expect("/dev/pts/0")
		term.expect("24 80")
		term.typ("hello\r")
		term.expect("got hello")
		if status := term.ended(); status != 3 {
			t.Errorf("exit %d", status)
		}
	})
	t.Run("console socket", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "socket")
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		o.background("create", "--console-socket", path, id)
		defer o.must("delete", "--force", id)
		master := receiveDescriptor(t, listener)
		defer master.Close()
		o.must("start", id)
		if _, err := master.WriteString("hello\n"); err != nil {
			t.Fatal(err)
		}
		var shown []byte
		buf := make([]byte, 1024)
		for !bytes.Contains(shown, []byte("got hello")) {
			n, err := master.Read(buf)
			if err != nil {
				t.Fatalf("%v after %q", err, shown)
			}
			shown = append(shown, buf[:n]...)
		}
	})
}

// receiveDescriptor takes what a console socket is sent.
func receiveDescriptor(t *testing.T, listener *net.UnixListener) *os.File {
	t.Helper()
	if err := listener.SetDeadline(time.Now().Add(usual)); err != nil {
		t.Fatal(err)
	}
	conn, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data, oob := make([]byte, 256), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(data, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%d descriptors, %v", len(fds), err)
	}
	return os.NewFile(uintptr(fds[0]), "master")
}

// What the specification asks of hooks, where libcontainer does otherwise: the
// status that they are told, and that poststart belongs to start.
func TestOCIHooks(t *testing.T) {
	hostAsBefore(t)
	o := newOCI(t, []string{world.croft, "oci"}, "sh", "-c", "touch /ran; sleep 1000")
	dir := t.TempDir()
	hook := func(name string) specs.Hook {
		return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "cat >" + filepath.Join(dir, name)}}
	}
	o.change(func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{
			//lint:ignore SA1019 deprecated, and configurations still have it
			Prestart: []specs.Hook{hook("prestart")}, CreateRuntime: []specs.Hook{hook("createRuntime")},
			Poststart: []specs.Hook{hook("poststart")}, Poststop: []specs.Hook{hook("poststop")},
		}
	})
	status := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			return ""
		}
		var s specs.State
		if err := json.Unmarshal(data, &s); err != nil {
			t.Errorf("%s is told %q: %v", name, data, err)
		}
		return string(s.Status)
	}
	all := func() string {
		return fmt.Sprint([]string{status("prestart"), status("createRuntime"), status("poststart"), status("poststop")})
	}
	id := name(t, "oci")
	o.background("create", id)
	if got := all(); got != "[created creating  ]" {
		t.Errorf("after create: %s", got)
	}
	o.must("start", id)
	if got := all(); got != "[created creating running ]" {
		t.Errorf("after start: %s", got)
	}
	o.must("delete", "--force", id)
	if got := all(); got != "[created creating running stopped]" {
		t.Errorf("after delete: %s", got)
	}

	o.change(func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/bin/true"}, {Path: "/bin/false"}}}
	})
	o.background("create", id)
	o.refused(1, "error running poststart hook #1", "start", id)
	o.ended(id)
	o.must("delete", id)
	o.refused(1, "error running poststart hook #1", "run", id)
	if got := o.must("list", "--quiet"); got != "" {
		t.Errorf("a run that failed leaves %s", got)
	}
}

// A poststop hook that fails is a warning; the others run, and the container
// is gone.
func TestOCIPoststopFails(t *testing.T) {
	hostAsBefore(t)
	o := newOCI(t, []string{world.croft, "oci"}, "true")
	file := filepath.Join(t.TempDir(), "poststop")
	o.change(func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Poststop: []specs.Hook{
			{Path: "/bin/false"}, {Path: "/bin/sh", Args: []string{"sh", "-c", "echo ran >>" + file}},
		}}
	})
	id := name(t, "oci")
	for _, how := range [][]string{{"delete", id}, {"delete", "--force", id}} {
		o.background("create", id)
		o.must("start", id)
		o.ended(id)
		if r := o.try(how...); r.status != 0 || !strings.Contains(r.errOut, "poststop hook #0: exit status 1") {
			t.Error(r)
		}
		o.refused(1, "container does not exist", "state", id)
	}
	if r := o.try("run", id); r.status != 0 {
		t.Error(r)
	}
	if data, err := os.ReadFile(file); string(data) != strings.Repeat("ran\n", 3) {
		t.Errorf("the second hook: %q, %v", data, err)
	}
}

// What the specification allows and libcontainer refuses.
func TestOCIAccepts(t *testing.T) {
	hostAsBefore(t)
	o := newOCI(t, []string{world.croft, "oci"}, "sh", "-c", "test -p /dev/pipe && cat /mnt/file")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("bound"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.change(func(s *specs.Spec) {
		s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/dev/pipe", Type: "p", Major: 8, Minor: 666})
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Source: dir, Options: []string{"bind", "ro", "mode=755", "size=1k"}})
	})
	r := o.try("run", name(t, "oci"))
	if r.status != 0 || r.out != "bound" || !strings.Contains(r.errOut, "ignored: mode=755,size=1k") {
		t.Error(r)
	}
}

// A bundle need not have a process until it is started.
func TestOCIWithoutProcess(t *testing.T) {
	hostAsBefore(t)
	o := newOCI(t, []string{world.croft, "oci"})
	o.change(func(s *specs.Spec) { s.Process = nil })
	id := name(t, "oci")
	o.refused(1, "process property must not be empty", "run", id)
	o.background("create", id)
	if got := o.state(id).Status; got != "created" {
		t.Errorf("it is %s", got)
	}
	o.refused(1, "process property must not be empty", "start", id)
	o.ended(id)
	o.must("delete", id)
}

// Where systemd is PID 1 it makes the cgroup; elsewhere the option is refused,
// and nothing is left.
func TestOCISystemdCgroup(t *testing.T) {
	hostAsBefore(t)
	o := newOCI(t, []string{world.croft, "oci"}, "sleep", "1000")
	id := name(t, "oci")
	o.change(func(s *specs.Spec) { s.Linux.CgroupsPath = "system.slice:croft:" + id })
	if !exists("/run/systemd/system") { // sd_booted(3)
		o.refused(1, "systemd not running on this host", "--systemd-cgroup", "run", id)
		if got := o.must("list", "--quiet"); got != "" {
			t.Errorf("it leaves %s", got)
		}
		return
	}
	o.background("--systemd-cgroup", "run", "--detach", id)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", o.state(id).PID))
	if err != nil || !strings.Contains(string(text), "/system.slice/croft-"+id+".scope") {
		t.Errorf("its cgroup is %s, %v", text, err)
	}
	o.must("delete", "--force", id)
}

// A container in the host's cgroup namespace sees the host's cgroups, whose
// mount options stay as they are: hostAsBefore looks at those.
func TestOCIHostCgroups(t *testing.T) {
	hostAsBefore(t)
	o := newOCI(t, []string{world.croft, "oci"}, "sh", "-c", "cat /proc/self/cgroup; test -e /sys/fs/cgroup/cgroup.procs && touch /sys/fs/cgroup/cgroup.procs")
	o.change(func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace })
		s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/sys/fs/cgroup" })
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
			Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}})
	})
	id := name(t, "oci")
	r := o.try("run", id)
	if !strings.Contains(r.out, "/"+id) {
		t.Error(r)
	}
	if exists("/sys/fs/cgroup/cgroup.procs") && !strings.Contains(r.errOut, "Read-only file system") { // cgroup version 2
		t.Error(r)
	}
}

func TestOCICheckpoint(t *testing.T) {
	hostAsBefore(t)
	criu, err := exec.LookPath("criu")
	if err != nil {
		t.Skipf("no criu on PATH: %v", err)
	}
	// What criu itself says of this kernel is the reason, and no other.
	if out, err := exec.Command(criu, "check").CombinedOutput(); err != nil {
		t.Skipf("criu does not work with this kernel: %v\n%s", err, out)
	}
	o := newOCI(t, []string{world.croft, "oci"}, "sh", "-c", "i=0; while true; do i=$((i+1)); echo $i >/count; sleep 0.1; done")
	id, images := name(t, "oci"), filepath.Join(t.TempDir(), "images")
	count := func() int {
		data, err := os.ReadFile(filepath.Join(o.bundle, "rootfs", "count"))
		if err != nil {
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
		return n
	}
	o.background("run", "--detach", id)
	eventually(t, "it counts", func() bool { return count() > 3 })
	o.must("checkpoint", "--image-path", images, "--work-path", images, "--leave-running", id)
	if got := o.state(id).Status; got != "running" {
		t.Errorf("left running, it is %s", got)
	}
	o.must("checkpoint", "--image-path", images, "--work-path", images, id)
	o.refused(1, "container does not exist", "state", id)
	at := count()
	o.background("restore", "--image-path", images, "--work-path", images, "--detach", "-no-subreaper", "--bundle", o.bundle, id)
	eventually(t, "it goes on counting", func() bool { return count() > at })
	if got := count(); got > at+1000 || got < at {
		t.Errorf("it counted to %d, and goes on with %d", at, got)
	}
	o.must("delete", "--force", id)
}
