//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A VPS and a command in it have nothing of how the one runs who started them.
func TestNothingIsInherited(t *testing.T) {
	hostAsBefore(t)
	plain, odd := create(t, "busybox"), create(t, "busybox")
	must(t, "start", "--wait", plain)
	unusual(t, "start", "--wait", odd)
	want, got := attributes(t, inspect(t, plain).PID), attributes(t, inspect(t, odd).PID)
	if got != want {
		t.Errorf("init, started by an unusual process:\n%s\nby a plain one:\n%s", got, want)
	}
	monitor := attributes(t, inspect(t, odd).MonitorPID)
	if want := attributes(t, inspect(t, plain).MonitorPID); withoutLimits(monitor) != withoutLimits(want) {
		t.Errorf("monitor, started by an unusual process:\n%s\nby a plain one:\n%s", monitor, want)
	}

	inside := []string{"exec", plain, "--", "sh", "-c", `cat /proc/self/limits /proc/self/oom_score_adj /proc/self/coredump_filter
		grep -E '^(SigBlk|SigIgn|Cpus_allowed_list|THP_enabled|Umask)' /proc/self/status; cut -d' ' -f18,19,41 /proc/self/stat; ionice; env | sort`}
	if got, want := unusual(t, inside...), must(t, inside...); got != want {
		t.Errorf("a command, by an unusual process:\n%s\nby a plain one:\n%s", got, want)
	}
}

// unusual runs croft in a process of which everything that can be inherited is
// unusual.
func unusual(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	script := `ulimit -S -c 100; ulimit -S -s 4096; ulimit -S -f 2000000; ulimit -S -n 256; ulimit -S -v 8000000; ulimit -S -l 32; umask 077
		trap '' TSTP TTIN TTOU USR1 USR2 QUIT WINCH
		echo 300 >/proc/self/oom_score_adj; echo 0x11 >/proc/self/coredump_filter
		exec 7</dev/null
		exec setarch --addr-no-randomize nice -n 7 ionice -c 2 -n 6 taskset -c 0 chrt --batch 0 "$@"`
	line := append([]string{"-c", script, "sh", world.croft}, append(where(world.root, world.run), args...)...)
	cmd := exec.CommandContext(ctx, "sh", line...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", "LD_PRELOAD=", "UNUSUAL=yes"}
	cmd.Dir, cmd.WaitDelay = "/tmp", 5*time.Second
	r := finish(cmd, args)
	if r.status != 0 {
		t.Fatal(r)
	}
	return strings.TrimSuffix(r.out, "\n")
}

// attributes are those of a process that it may have inherited, as the host
// sees them.
func attributes(t *testing.T, pid int) string {
	t.Helper()
	script := fmt.Sprintf(`cd /proc/%[1]d && cat limits oom_score_adj coredump_filter personality timerslack_ns
		grep -E '^(SigBlk|SigIgn|Cpus_allowed_list|THP_enabled|Umask|NoNewPrivs)' status; cut -d' ' -f18,19,41 stat; ionice -p %[1]d`, pid)
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func withoutLimits(attributes string) string {
	return regexp.MustCompile(`(?m)^Max .*\n`).ReplaceAllString(attributes, "")
}

// A user inside who fills /dev/shm does not end a VPS whose memory is limited.
func TestFullSharedMemory(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "64M", "--swap", "0")
	init := inspect(t, vps).PID
	r := try("exec", "--user", "65534", vps, "--", "sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=200")
	if r.status == 0 || !strings.Contains(r.errOut, "No space left") {
		t.Error(r)
	}
	if i := inspect(t, vps); i.PID != init || i.Status != "running" {
		t.Errorf("its init was %d: %+v", init, i)
	}
}

// A VPS without options has limits of processes and memory, which inspect shows
// and which leave the host able to work.
func TestDefaultLimits(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	var shown struct {
		Limits struct {
			PIDs        int
			MemoryBytes uint64
		}
	}
	if err := json.Unmarshal([]byte(must(t, "inspect", vps)), &shown); err != nil {
		t.Fatal(err)
	}
	var got []struct {
		PIDs   struct{ Limit int }
		Memory struct{ LimitBytes uint64 }
	}
	if err := json.Unmarshal([]byte(must(t, "stats", "--json", "--interval", "0", vps)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].PIDs.Limit == 0 || got[0].PIDs.Limit != shown.Limits.PIDs {
		t.Errorf("inspect shows %+v, the cgroup has %+v", shown, got)
	}
	var host unix.Sysinfo_t
	if err := unix.Sysinfo(&host); err != nil {
		t.Fatal(err)
	}
	total := uint64(host.Totalram) * uint64(host.Unit)
	if limit := got[0].Memory.LimitBytes; limit != shown.Limits.MemoryBytes || limit < total/2 || limit > total-128<<20 {
		t.Errorf("the host has %d bytes; inspect shows %+v, the cgroup has %+v", total, shown, got)
	}
	free := create(t, "busybox", "--memory", "unlimited", "--pids", "unlimited")
	must(t, "start", free)
	got = nil
	if err := json.Unmarshal([]byte(must(t, "stats", "--json", "--interval", "0", free)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].PIDs.Limit != 0 || got[0].Memory.LimitBytes != 0 {
		t.Errorf("without limits the cgroup has %+v", got)
	}
}
