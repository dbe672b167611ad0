//go:build integration

package integration

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fileEvents returns a function that waits until something is created, renamed or
// deleted in one of the directories, or the time is over. Directories that do not exist
// are left out. The caller calls end: the kernel allows a user few of them.
func fileEvents(t *testing.T, dirs ...string) (wait func(within time.Duration), end func()) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if exists(dir) {
			if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_DELETE); err != nil {
				unix.Close(fd)
				t.Fatal(err)
			}
		}
	}
	return func(within time.Duration) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, _ = unix.Poll(poll, int(within.Milliseconds()))
		_, _ = unix.Read(fd, make([]byte, 1<<16))
	}, func() { unix.Close(fd) }
}

// killedAt runs croft and kills it with SIGKILL after some file events. It reports
// whether it was killed before it ended.
func killedAt(t *testing.T, event func(time.Duration), after int, args ...string) bool {
	t.Helper()
	cmd := command(context.Background(), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its process tree
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	for range after {
		event(20 * time.Millisecond)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-ended
	return !cmd.ProcessState.Exited()
}

// Commands with snapshots and clones are killed at any moment, and the monitor too. All
// that is left can be read and used, the command can run again, the VPS has its files,
// and a destroy leaves nothing.
func TestKilledSnapshots(t *testing.T) {
	hostAsBefore(t)
	before := layersOfRoot(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	web := boot(t, "busybox", "--network", "none")
	copied := web + "-copy"
	t.Cleanup(func() { destroy(t, copied) })
	const files = "cat /root/f; stat -c '%u:%g %h' /root/g; ls /etc/issue /srv 2>/dev/null; ls /srv/many | wc -l"
	sh(t, web, "echo one >/root/f; ln /root/f /root/g; chown 7:8 /root/f; rm /etc/issue; mkdir -p /srv/many; i=0; while [ $i -lt 300 ]; do echo $i >/srv/many/$i; i=$((i+1)); done")
	want := try("exec", web, "--", "sh", "-c", files).out
	must(t, "snapshot", "create", web, "base")
	dir := filepath.Join(world.root, "vps", web)
	mnt := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(mnt, unix.MNT_DETACH) })
	commands := [][]string{
		{"snapshot", "create", "--expire", "1ns", web, "s"},
		{"snapshot", "delete", web, "s"},
		{"snapshot", "prune", web},
		{"snapshot", "restore", "--files-only", web, "base"},
		{"clone", web, copied},
		{"clone", "--full", web + "@base", copied},
		{"snapshot", "mount", web, "base", mnt},
		{"diff", web},
		{"run", "--rm", "--clone", web + "@base", "--name", copied, "--", "true"},
	}
	rounds := 16
	if os.Getenv("FULL") != "" {
		rounds = 400
	}
	for n := range rounds {
		args := commands[random.IntN(len(commands))]
		if running := strings.HasPrefix(list(t)[web].Status, "r"); running == (random.IntN(2) == 0 || slices.Contains(args, "restore")) {
			if running {
				must(t, "stop", "--fast", web)
			} else if !slices.Contains(args, "restore") {
				must(t, "start", web)
			}
		}
		event, end := fileEvents(t, filepath.Join(world.root, "frozen"), dir, filepath.Join(dir, "fs"), filepath.Join(dir, "snapshots"),
			filepath.Join(world.root, "vps"), filepath.Join(world.root, "trash"), filepath.Join(world.run, "vps", web))
		moment := random.IntN(9)
		killed := killedAt(t, event, moment, args...)
		end()
		if pid := list(t)[web].MonitorPID; pid != 0 && random.IntN(6) == 0 {
			kill9(t, pid)
		}
		t.Logf("%d: %v killed %v after %d events", n, args, killed, moment)
		for _, name := range []string{web, copied} {
			if i, there := list(t)[name]; there && i.Status == "broken" {
				t.Fatalf("%s is broken", name)
			}
		}
		must(t, "snapshot", "list", web)
		if slices.Contains(args, copied) {
			must(t, "--lock-timeout", "60s", "destroy", "--force", "--if-exists", copied)
		}
		if r := try(append([]string{"--lock-timeout", "60s"}, args...)...); r.status != 0 && r.status != 3 && r.status != 4 {
			t.Fatalf("again: %s", r)
		}
		if slices.Contains(args, mnt) {
			refused(t, 5, "is mounted", "snapshot", "delete", web, "base")
			must(t, "snapshot", "umount", web, "base")
			if exists(filepath.Join(mnt, "root")) {
				t.Fatal("it is mounted after the unmount")
			}
		}
		if slices.Contains(args, copied) && args[0] == "clone" {
			must(t, "start", copied)
			if got := try("exec", copied, "--", "sh", "-c", files).out; got != want {
				t.Fatalf("the clone has\n%s\nand not\n%s", got, want)
			}
			must(t, "destroy", "--force", copied)
		}
		if !strings.HasPrefix(list(t)[web].Status, "r") {
			must(t, "start", web)
		}
		if got := try("exec", web, "--", "sh", "-c", files).out; got != want {
			t.Fatalf("the VPS has\n%s\nand not\n%s", got, want)
		}
	}
	must(t, "destroy", "--force", web)
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("there were layers %v and there are %v", before, after)
	}
	if left, err := filepath.Glob(filepath.Join(world.root, "vps", ".*")); err != nil || len(left) > 0 {
		t.Errorf("there are drafts %v, %v", left, err)
	}
}
