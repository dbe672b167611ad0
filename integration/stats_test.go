//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// usage is of croft stats --json what is compared here.
type usage struct {
	Name string
	CPU  struct {
		UsedNanoseconds uint64
		Percent         *float64
	}
	Memory struct{ UsedBytes, TotalBytes, LimitBytes uint64 }
	PIDs   struct{ Current, Limit uint64 }
	IO     struct {
		WrittenBytes uint64
		Counted      bool
	}
	Interfaces []struct {
		Name                       string
		ReceivedBytes, SentPackets uint64
		Dropped                    map[string]uint64
	}
}

func stats(t *testing.T, args ...string) map[string]usage {
	t.Helper()
	var all []usage
	if err := json.Unmarshal([]byte(must(t, append([]string{"stats", "--json"}, args...)...)), &all); err != nil {
		t.Fatal(err)
	}
	by := map[string]usage{}
	for _, u := range all {
		by[u.Name] = u
	}
	return by
}

// What a VPS does is what stats shows of it, and of no other.
func TestStats(t *testing.T) {
	hostAsBefore(t)
	busy := create(t, "busybox", "--memory", "256M", "--pids", "100")
	idle := create(t, "busybox")
	must(t, "start", "--wait=network", busy, idle)
	before := stats(t, "--interval", "0")
	if u := before[busy]; u.CPU.Percent != nil || u.Memory.LimitBytes != 256<<20 || u.PIDs.Limit != 100 || u.PIDs.Current == 0 {
		t.Errorf("at first: %+v", u)
	}
	must(t, "exec", busy, "--", "sh", "-c", "sleep 1000 & while :; do :; done & dd if=/dev/zero of=/dev/shm/held bs=1M count=32 2>/dev/null")
	sh(t, busy, "ping -c 3 -s 1000 "+address(t, idle, 0))
	must(t, "exec", busy, "--", "ip", "address", "add", "10.254.254.254/32", "dev", "eth0")
	try("exec", busy, "--", "ping", "-c", "1", "-W", "1", "-I", "10.254.254.254", address(t, idle, 0))
	after := stats(t, "--interval", "500ms")
	was, now := before[busy], after[busy]
	if now.CPU.Percent == nil || *now.CPU.Percent < 1 || now.CPU.UsedNanoseconds <= was.CPU.UsedNanoseconds {
		t.Errorf("it is busy: %+v", now.CPU)
	}
	// What the start used may be given back meanwhile.
	if now.Memory.UsedBytes < was.Memory.UsedBytes+28<<20 || now.Memory.TotalBytes < now.Memory.UsedBytes {
		t.Errorf("it holds more than 28 of 32 MiB: %+v, was %+v", now.Memory, was.Memory)
	}
	if now.PIDs.Current < was.PIDs.Current+2 {
		t.Errorf("two processes more: %+v, was %+v", now.PIDs, was.PIDs)
	}
	if len(now.Interfaces) != 1 || now.Interfaces[0].ReceivedBytes < was.Interfaces[0].ReceivedBytes+3000 ||
		now.Interfaces[0].SentPackets < was.Interfaces[0].SentPackets+4 {
		t.Errorf("it has been answered: %+v, was %+v", now.Interfaces, was.Interfaces)
	}
	dropped := uint64(0)
	for _, n := range now.Interfaces[0].Dropped {
		dropped += n
	}
	if dropped == 0 {
		t.Errorf("what it sent as another is not counted: %+v", now.Interfaces)
	}
	if u := after[idle]; u.CPU.Percent == nil || *u.CPU.Percent > *now.CPU.Percent || len(u.Interfaces[0].Dropped) != 0 {
		t.Errorf("the idle one: %+v", u)
	}
	if table := must(t, "stats", "--interval=0", busy); !strings.Contains(table, busy) || strings.Contains(table, idle) || !strings.Contains(table, "256M") {
		t.Errorf("the table:\n%s", table)
	}
	// What this host does not count is not shown as nothing.
	csv := strings.Split(must(t, "stats", "--interval=0", "--format", "csv", "--no-header", busy), ",")
	if counted := before[busy].IO.Counted; len(csv) < 8 || counted != (csv[6] != "") || counted != (csv[7] != "") {
		t.Errorf("I/O is counted: %v; as CSV: %q", counted, csv)
	}
	must(t, "stop", idle)
	refused(t, 5, "not running", "stats", idle)
	if _, ok := stats(t, "--interval=0")[idle]; ok {
		t.Error("one that is stopped is among those that run")
	}
}

// top shows each process with its number inside and outside.
func TestTop(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	must(t, "exec", vps, "--", "sh", "-c", "sleep 54321 &")
	must(t, "exec", "--user", "nobody", vps, "--", "sh", "-c", "sleep 54322 &")
	var all []struct {
		PID, ParentPID, HostPID int
		User                    int64
		UserName, Command       string
	}
	if err := json.Unmarshal([]byte(must(t, "top", "--json", vps)), &all); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int64{}
	for _, p := range all {
		seen[p.Command] = p.User
		if (p.PID == 1) != (p.ParentPID == 0) {
			t.Errorf("child of nobody: %+v", p)
		}
		if syscall.Kill(p.HostPID, 0) != nil || p.HostPID == os.Getpid() {
			t.Errorf("no such process on the host: %+v", p)
		}
	}
	if root, ok := seen["sleep 54321"]; !ok || root != 0 {
		t.Errorf("root's: %v", all)
	}
	if nobody, ok := seen["sleep 54322"]; !ok || nobody == 0 {
		t.Errorf("nobody's: %v", all)
	}
	if user := userOf(t, vps, "sleep 54321"); user != "root" {
		t.Errorf("root's is shown as %s's", user)
	}
	if user := userOf(t, vps, "sleep 54322"); user != "nobody" {
		t.Errorf("nobody's is shown as %s's", user)
	}
	// A passwd that the VPS has made to mislead, and one that never answers.
	number := strconv.FormatInt(seen["sleep 54322"], 10)
	sh(t, vps, `{ printf 'x\033[2Jy:x:'; echo "`+number+`:1::/:"; } >/etc/passwd`)
	if user := userOf(t, vps, "sleep 54322"); user != number {
		t.Errorf("a name that controls a terminal: %q", user)
	}
	sh(t, vps, "rm /etc/passwd && mkfifo /etc/passwd")
	if user := userOf(t, vps, "sleep 54321"); user != "0" {
		t.Errorf("with a FIFO for passwd: %q", user)
	}
	must(t, "stop", vps)
	refused(t, 5, "not running", "top", vps)
}

// userOf is the USER of a process in the table of top.
func userOf(t *testing.T, vps, command string) string {
	t.Helper()
	for line := range strings.Lines(must(t, "top", vps)) {
		if fields := strings.Fields(line); strings.HasSuffix(strings.TrimSpace(line), command) {
			return fields[2]
		}
	}
	t.Errorf("top shows no %s", command)
	return ""
}

// hits is what croft stats --json says about a lack of memory and CPU time.
type hits struct {
	CPU struct {
		Pressure *struct {
			Some struct{ WaitedNanoseconds uint64 }
		}
	}
	Memory struct{ OOMKills *uint64 }
}

func hitsOf(t *testing.T, vps string) hits {
	t.Helper()
	var all []hits
	if err := json.Unmarshal([]byte(must(t, "stats", "--json", "--interval=0", vps)), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v: %+v", err, all)
	}
	return all[0]
}

// A process killed at the memory limit of a VPS is counted for this VPS, and for no other.
func TestStatsCountOOMKills(t *testing.T) {
	hostAsBefore(t)
	small := create(t, "busybox", "--network", "none", "--memory", "64M", "--swap", "0")
	other := create(t, "busybox", "--network", "none")
	must(t, "start", small, other)
	if was := hitsOf(t, small).Memory.OOMKills; was == nil {
		const file = "/sys/fs/cgroup/memory/memory.oom_control" // version 2 always counts them
		if !exists(file) || strings.Contains(readFile(t, file), "oom_kill ") {
			t.Fatal("the kernel counts OOM kills, and croft does not show them")
		}
		t.Skip("Linux before 4.13 does not count OOM kills in version 1: " + file)
	} else if *was != 0 {
		t.Errorf("at first: %d processes killed", *was)
	}
	try("exec", small, "--", "sh", "-c", "tail -c 200000000 /dev/zero")
	now := hitsOf(t, small)
	if *now.Memory.OOMKills == 0 {
		t.Error("no killed process is counted")
	}
	if text := must(t, "stats", "--format", "prometheus", small); !strings.Contains(text, `croft_oom_kills_total{vps="`+small+`"} `+strconv.FormatUint(*now.Memory.OOMKills, 10)+"\n") {
		t.Errorf("for Prometheus:\n%s", text)
	}
	if n := hitsOf(t, other).Memory.OOMKills; n == nil || *n != 0 {
		t.Errorf("the other VPS: %v", n)
	}
	if _, err := os.Stat("/sys/fs/cgroup/unified/cpu.pressure"); err == nil && now.CPU.Pressure == nil {
		t.Error("the host has PSI, and stats shows none")
	}
}

// A process that the limit of processes refuses is counted. A higher limit holds at
// once, for processes that run already too.
func TestStatsCountRefusedProcesses(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none", "--pids", "40")
	must(t, "start", vps)
	hits := func() *uint64 {
		t.Helper()
		var all []struct{ PIDs struct{ LimitHits *uint64 } }
		if err := json.Unmarshal([]byte(must(t, "stats", "--json", "--interval=0", vps)), &all); err != nil || len(all) != 1 {
			t.Fatalf("%v: %+v", err, all)
		}
		return all[0].PIDs.LimitHits
	}
	if was := hits(); was == nil {
		t.Skip("this host does not count them")
	} else if *was != 0 {
		t.Errorf("at first: %d", *was)
	}
	const many = "for i in $(seq 80); do sleep 60 & done; wait $!"
	if r := try("exec", vps, "--", "sh", "-c", "trap 'kill -9 -1' EXIT; "+many); r.status == 0 || !strings.Contains(r.errOut, "can't fork") {
		t.Errorf("80 processes where 40 may be: %s", r)
	}
	if now := hits(); now == nil || *now == 0 {
		t.Errorf("refused: %v", now)
	}
	// The shell has started before the limit is raised.
	sh(t, vps, `(until [ -e /tmp/go ]; do sleep 0.1; done; for i in $(seq 80); do sleep 61 & done; touch /tmp/done; wait) </dev/null >/dev/null 2>&1 &`)
	must(t, "set", vps, "--pids", "200")
	sh(t, vps, "touch /tmp/go")
	eventually(t, "80 processes run", func() bool { return try("exec", vps, "--", "test", "-e", "/tmp/done").status == 0 })
}

// Open files and the disk that a VPS uses are shown, and metrics serves them.
func TestStatsOfFiles(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none")
	must(t, "start", vps)
	type files struct{ OpenFiles, DiskBytes *uint64 }
	look := func(args ...string) files {
		t.Helper()
		var all []files
		if err := json.Unmarshal([]byte(must(t, append([]string{"stats", "--json", "--interval=0", vps}, args...)...)), &all); err != nil || len(all) != 1 || all[0].OpenFiles == nil {
			t.Fatalf("%v: %+v", err, all)
		}
		return all[0]
	}
	if f := look(); f.DiskBytes != nil {
		t.Errorf("the disk without --disk: %d", *f.DiskBytes)
	}
	was := look("--disk")
	sh(t, vps, `(exec 5</dev/null 6</dev/null 7</dev/null 8</dev/null 9</dev/null; sleep 1000) </dev/null >/dev/null 2>&1 & dd if=/dev/zero of=/root/held bs=1M count=8 2>/dev/null`)
	eventually(t, "the files are there", func() bool {
		now := look("--disk")
		return *now.OpenFiles >= *was.OpenFiles+8 && *now.DiskBytes >= *was.DiskBytes+8<<20
	})
}
