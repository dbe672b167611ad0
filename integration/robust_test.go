//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Fifty creates at the same time, and lists from two shells meanwhile, which
// see VPSs that are whole or none.
func TestFiftyCreates(t *testing.T) {
	hostAsBefore(t)
	const total = 50
	var creating, listing sync.WaitGroup
	over := make(chan struct{})
	for range 2 {
		listing.Go(func() {
			seen := 0
			for {
				r := try("list", "--json")
				if r.status != 0 || r.errOut != "" || strings.Contains(r.out, "broken") {
					t.Error(r)
				}
				if n := strings.Count(r.out, `"uuid"`); n < seen {
					t.Errorf("%d VPSs were listed, and then %d", seen, n)
				} else {
					seen = n
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	slots := make(chan struct{}, 10)
	for range total {
		creating.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if r := try("create", "--template", "busybox", name(t, "fifty")); r.status != 0 {
				t.Error(r)
			}
		})
	}
	creating.Wait()
	close(over)
	listing.Wait()
	all := list(t)
	addresses, ids := map[string]string{}, map[uint32]string{}
	for vps, i := range all {
		for _, a := range i.Interfaces[0].Addresses {
			if other := addresses[a]; other != "" {
				t.Errorf("%s and %s have %s", vps, other, a)
			}
			addresses[a] = vps
		}
		if other := ids[i.IDs.First]; other != "" {
			t.Errorf("%s and %s have ids from %d", vps, other, i.IDs.First)
		}
		ids[i.IDs.First] = vps
	}
	if len(all) != total {
		t.Errorf("%d VPSs were made", len(all))
	}
	must(t, "destroy", "--all")
}

// A command that changes a VPS while another does is refused, or waits; none
// of them breaks anything.
func TestManyStartsAndStops(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	var all sync.WaitGroup
	for range 4 {
		for _, args := range [][]string{{"start", vps}, {"--lock-timeout", "60s", "stop", vps}, {"list"}, {"exec", vps, "--", "true"}} {
			all.Go(func() {
				r := try(args...)
				switch r.status {
				case 0, 5, 6:
				case 125, 128 + int(unix.SIGTERM), 128 + int(unix.SIGKILL): // exec: init ends everybody when it stops
				default:
					t.Error(r)
				}
			})
		}
	}
	all.Wait()
	must(t, "--lock-timeout", "60s", "stop", vps)
	must(t, "start", "--wait", vps)
	in(t, vps, "true")
}

func TestCorruptState(t *testing.T) {
	hostAsBefore(t)
	vps, other := create(t, "busybox"), boot(t, "busybox")
	file := filepath.Join(world.root, "vps", vps, "vps.json")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(file, good, 0o600)
	for what, text := range map[string]string{
		"empty":    "",
		"garbage":  "\x00\xff{{",
		"cut":      string(good[:len(good)/2]),
		"a list":   "[]",
		"newer":    strings.Replace(string(good), `"schema": 1`, `"schema": 999`, 1),
		"no names": `{"schema": 1}`,
	} {
		if text == string(good) {
			t.Fatalf("%s: the file has another form: %s", what, good)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := try("list", "--json")
		if r.status != 0 || !strings.Contains(r.out, other) || !strings.Contains(r.out, "broken") {
			t.Errorf("%s: %s", what, r)
		}
		for _, args := range [][]string{{"start", vps}, {"inspect", vps}} {
			r := try(args...)
			if r.status == 0 || r.status == 1 {
				t.Errorf("%s: an understood failure is expected: %s", what, r)
			}
			checkRefusal(t, r, r.status, vps)
		}
		if t.Failed() {
			t.Fatalf("with %s", what)
		}
		in(t, other, "true")
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			t.Errorf("%s: the file was changed: %q, %v", what, now, err)
		}
	}
	// It can be put right, and what is beyond that can be destroyed.
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "start", "--wait", vps)
	must(t, "stop", vps)
	if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "destroy", "--force", vps)
}

func TestCorruptRun(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	file := filepath.Join(world.run, "vps", vps, "run.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := try("list"); r.status != 0 || !strings.Contains(r.out, vps) {
		t.Error(r)
	}
	must(t, "destroy", "--force", vps)
}

// What becomes of the files of a running VPS, the kernel has its processes: no
// command says that it is stopped, removes its files, or gives its ids away.
func TestLostFiles(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	mine := inspect(t, vps)
	for _, lost := range []string{
		filepath.Join(world.run, "vps", vps), filepath.Join(world.run, "containers", vps),
		filepath.Join(world.run, "locks", vps+".life"), filepath.Join(world.root, "vps", vps, "vps.json"), filepath.Join(world.root, "ids"),
	} {
		if filepath.Base(lost) == "vps.json" {
			if r := try("list", vps); !strings.Contains(r.out, "orphaned") {
				t.Error(r)
			}
			if r := try("destroy", vps); r.status != 5 {
				t.Error(r)
			}
		}
		if err := os.RemoveAll(lost); err != nil {
			t.Fatal(err)
		}
	}
	if r := try("create", vps+"-x", "--template", "busybox"); r.status != 5 || !strings.Contains(r.errOut, vps) {
		t.Error(r) // it is not known which ids vps has
	}
	if err := os.RemoveAll(filepath.Join(world.root, "vps", vps)); err != nil {
		t.Fatal(err)
	}
	if r := try("create", vps, "--template", "busybox"); r.status != 5 {
		t.Error(r)
	}
	other := create(t, "busybox")
	if got := inspect(t, other); got.IDs.First == mine.IDs.First {
		t.Errorf("%s has the ids of %s, which runs", other, vps)
	}
	must(t, "destroy", "--force", "--if-exists", vps)
}

// A full disk is said, and loses nothing.
func TestFullDisk(t *testing.T) {
	hostAsBefore(t)
	dir := smallDisk(t, 24<<20)
	first, second := name(t, "first"), name(t, "second")
	on := func(args ...string) result {
		cmd := command(t.Context(), args...)
		cmd.Args = append([]string{"croft", "--root", filepath.Join(dir, "root"), "--run-dir", "/tmp/full-run"}, args...)
		return finish(cmd, args)
	}
	t.Cleanup(func() { os.RemoveAll("/tmp/full-run") })
	if r := on("create", "--template", "busybox", "--network", "none", first); r.status != 0 {
		t.Fatal(r)
	}
	if r := on("start", "--wait", first); r.status != 0 {
		t.Fatal(r)
	}
	fill(t, filepath.Join(dir, "filler"))

	r := on("create", "--template", "busybox", "--network", "none", second)
	checkRefusal(t, r, 8, "space")
	if r := on("list", "--json"); r.status != 0 || strings.Contains(r.out, second) || strings.Contains(r.out, "broken") {
		t.Error(r)
	}
	// What runs goes on, and can be stopped.
	if r := on("exec", first, "--", "echo", "alive"); r.out != "alive\n" {
		t.Error(r)
	}
	if r := on("exec", first, "--", "sh", "-c", "head -c 1000000 /dev/zero >/dev/console; echo drained"); r.out != "drained\n" {
		t.Error(r)
	}
	if r := on("stop", first); r.status != 0 {
		t.Error(r)
	}
	if r := on("start", first); r.status != 0 {
		checkRefusal(t, r, 8, "space")
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	on("stop", first)
	for _, args := range [][]string{
		{"start", "--wait", first},
		{"create", "--template", "busybox", "--network", "none", second},
		{"destroy", "--force", first, second},
	} {
		if r := on(args...); r.status != 0 {
			t.Error(r)
		}
	}
	eventually(t, "the trash is empty", func() bool {
		left, _ := os.ReadDir(filepath.Join(dir, "root", "trash"))
		return len(left) == 0
	})
}

// A command for which the root directory is read-only stops and kills a VPS that
// runs, and a shutdown of the host stops one whose monitor stands still.
func TestReadOnlyRoot(t *testing.T) {
	hostAsBefore(t)
	root, run, vps := filepath.Join("/tmp", name(t, "root")), filepath.Join("/tmp", name(t, "run")), name(t, "vps")
	on := func(args ...string) result {
		t.Helper()
		cmd := command(t.Context(), args...)
		cmd.Args = append([]string{"croft", "--root", root, "--run-dir", run}, args...)
		return finish(cmd, args)
	}
	must := func(args ...string) result {
		t.Helper()
		r := on(args...)
		if r.status != 0 {
			t.Fatal(r)
		}
		return r
	}
	t.Cleanup(func() {
		on("destroy", "--force", "--if-exists", vps)
		os.RemoveAll(root)
		os.RemoveAll(run)
	})
	must("create", "--template", "busybox", "--network", "none", vps)
	readOnly := func(args ...string) result {
		t.Helper()
		script := `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ! touch "$0/x" 2>/dev/null && exec "$@"`
		cmd := exec.Command("unshare", append([]string{"-m", "sh", "-c", script, root, world.croft, "--root", root, "--run-dir", run}, args...)...)
		return finish(cmd, args)
	}
	if r := readOnly("host", "check"); !strings.Contains(r.out, "read-only") || !strings.Contains(r.out, "disk space") {
		t.Errorf("the table has to be whole: %s", r)
	}
	for _, end := range [][]string{{"stop", vps}, {"kill", vps}, {"host", "shutdown", "--timeout", "2s"}} {
		must("start", "--wait", vps)
		var i info
		if err := json.Unmarshal([]byte(must("inspect", "--json", vps).out), &i); err != nil || i.MonitorPID == 0 {
			t.Fatalf("inspect: %+v, %v", i, err)
		}
		var r result
		if end[0] == "host" {
			if err := syscall.Kill(i.MonitorPID, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			r = on(end...)
		} else {
			r = readOnly(end...)
		}
		if r.status != 0 && (end[0] != "host" || r.status != 9) {
			t.Errorf("%v: %s", end, r)
		}
		if !gone(i.PID) || !gone(i.MonitorPID) {
			t.Errorf("%v: its init or its monitor still runs", end)
		}
	}
}

// smallDisk mounts a file system of its own until the end of the test.
func smallDisk(t *testing.T, size int64) string {
	t.Helper()
	image, dir := filepath.Join("/tmp", name(t, "disk")), filepath.Join("/tmp", name(t, "mnt"))
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(image) })
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Fatalf("mount -o loop: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, piece := range []int{1 << 20, 4096, 1} {
		for {
			if _, err := f.Write(bytes.Repeat([]byte{1}, piece)); err != nil {
				break
			}
		}
	}
	if err := f.Sync(); err != nil && err != unix.ENOSPC {
		t.Log(err)
	}
}
