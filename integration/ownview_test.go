//go:build integration

package integration

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A VPS sees its own memory, CPUs, times and load, as its limits and its use are, also
// after a change.
func TestOwnView(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "256M", "--swap", "0", "--cpus", "1")
	kB := func(key string) (n int) {
		t.Helper()
		for line := range strings.Lines(sh(t, vps, "cat /proc/meminfo")) { // busybox uses sendfile(2)
			if f := strings.Fields(line); len(f) > 1 && f[0] == key+":" {
				fmt.Sscan(f[1], &n)
				return n
			}
		}
		t.Fatalf("no %s in /proc/meminfo", key)
		return 0
	}
	if got := kB("MemTotal"); got != 256<<10 {
		t.Errorf("it sees %d kB of memory", got)
	}
	if got := kB("SwapTotal"); got != 0 {
		t.Errorf("it sees %d kB of swap", got)
	}
	free := kB("MemFree")
	sh(t, vps, "dd if=/dev/zero of=/dev/shm/full bs=1M count=50 2>/dev/null")
	if used := free - kB("MemFree"); used < 48<<10 || used > 80<<10 {
		t.Errorf("50 MiB more in a tmpfs use %d kB", used)
	}
	if got := kB("Shmem"); got < 50<<10 || got > 60<<10 {
		t.Errorf("%d kB are in a tmpfs", got)
	}
	sh(t, vps, "rm /dev/shm/full")
	must(t, "set", vps, "--memory", "128M")
	if got := kB("MemTotal"); got != 128<<10 {
		t.Errorf("after a change it sees %d kB of memory", got)
	}

	online := func() string {
		t.Helper()
		return sh(t, vps, "cat /sys/devices/system/cpu/online /sys/devices/system/cpu/present; grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat")
	}
	if got := online(); got != "0\n0\n1\n1" {
		t.Errorf("with one CPU it sees %q", got)
	}
	if runtime.NumCPU() >= 2 {
		must(t, "set", vps, "--cpus", "unlimited", "--cpuset", "1")
		if got := online() + " " + sh(t, vps, "cat /sys/devices/system/cpu/possible; nproc"); got != "1\n1\n1\n1 1\n1" {
			t.Errorf("with the second CPU it sees %q", got)
		}
		must(t, "set", vps, "--cpus", "1.2", "--cpuset", "0,1")
		if got := online(); got != "0-1\n0-1\n2\n2" {
			t.Errorf("with a part of the second CPU it sees %q", got)
		}
	}
	if got := sh(t, vps, "ls -ln /proc/meminfo /proc/stat | tr -s ' ' | cut -d' ' -f 1,3,4"); got != "-r--r--r-- 0 0\n-r--r--r-- 0 0" {
		t.Errorf("the files are %q", got)
	}
	if r := try("exec", vps, "--", "sh", "-c", "echo 1 >/proc/meminfo"); r.status == 0 {
		t.Error("root inside can write to /proc/meminfo")
	}
	parts := sh(t, vps, "dd if=/proc/stat bs=7 2>/dev/null | head -n 1; tail -n 1 /proc/stat; tail -c 5 /proc/cpuinfo | wc -c")
	if f := strings.Split(parts, "\n"); len(f) != 3 || len(strings.Fields(f[0])) != 11 || !strings.HasPrefix(f[1], "softirq ") || strings.TrimSpace(f[2]) != "5" {
		t.Errorf("in parts and from the end: %q", parts)
	}
}

// The times of a VPS are its own, and a restart sets them back.
func TestOwnTimes(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--cpus", "1")
	uptime := func() (up, idle float64) {
		t.Helper()
		if _, err := fmt.Sscan(sh(t, vps, "cat /proc/uptime"), &up, &idle); err != nil {
			t.Fatal(err)
		}
		return up, idle
	}
	ticks := func() (user, system, idle int) {
		t.Helper()
		var nice int
		if _, err := fmt.Sscanf(sh(t, vps, "head -n 1 /proc/stat"), "cpu %d %d %d %d", &user, &nice, &system, &idle); err != nil {
			t.Fatal(err)
		}
		return user, system, idle
	}
	var host float64
	if _, err := fmt.Sscan(readFile(t, "/proc/uptime"), &host); err != nil {
		t.Fatal(err)
	}
	up, idle := uptime()
	if up <= 0 || up > host || idle > up*1.01+0.1 {
		t.Errorf("up %v, idle %v; the host is up %v", up, idle, host)
	}
	user, _, _ := ticks()
	_, wait := background(t, "exec", vps, "--", "sh", "-c", "while :; do :; done")
	defer wait()
	defer sh(t, vps, "pkill -f 'do :' ; true")
	eventually(t, "/proc/stat shows the CPU time", func() bool { now, _, _ := ticks(); return now > user+50 })
	eventually(t, "/proc/loadavg shows the task", func() bool {
		var load float64
		var running, all int
		text := sh(t, vps, "cat /proc/loadavg")
		_, err := fmt.Sscanf(strings.Replace(text, "/", " ", 1), "%f", &load)
		f := strings.Fields(strings.Replace(text, "/", " ", 1))
		if err != nil || len(f) != 6 {
			t.Fatalf("%q, %v", text, err)
		}
		fmt.Sscan(f[3], &running)
		fmt.Sscan(f[4], &all)
		return load > 0 && running >= 1 && all >= 2
	})
	before, _ := uptime()
	must(t, "restart", "--fast", vps)
	if after, _ := uptime(); after >= before {
		t.Errorf("up %v before a restart and %v after it", before, after)
	}
}

// Without its holder the files fail at once, and the next command gives the VPS a new
// holder and new files.
func TestOwnViewOfAKilledHolder(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "64M")
	init := inspect(t, vps).PID
	file := fmt.Sprintf("/proc/%d/root/proc/meminfo", init)
	open, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	kill9(t, inspect(t, vps).MonitorPID)
	eventually(t, "reading fails", func() bool { _, err := os.ReadFile(file); return err != nil })
	if _, err := open.Read(make([]byte, 10)); err == nil {
		t.Error("a file that is open can be read")
	}
	eventually(t, "a command gives it a new holder", func() bool {
		return strings.HasPrefix(try("exec", vps, "--", "cat", "/proc/meminfo").out, "MemTotal:          65536 kB\n")
	})
	if mounts := sh(t, vps, "grep -c ' /proc/meminfo ' /proc/mounts"); mounts != "1" {
		t.Errorf("%s filesystems are mounted on /proc/meminfo", mounts)
	}
	if got := inspect(t, vps).PID; got != init {
		t.Error("the VPS was restarted")
	}
}

// Root inside can unmount the files, and hide them: that changes what its own VPS sees,
// and nothing else.
func TestOwnViewIsTakenAway(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "64M")
	sh(t, vps, `for f in $(grep '^croft /[ps]' /proc/mounts | cut -d' ' -f2); do umount $f; done; mount -t tmpfs none /proc/pressure 2>/dev/null
		mkfifo /tmp/f; mount --bind /tmp/f /proc/stat`)
	sh(t, vps, "echo still here >/dev/console")
	eventually(t, "the console works", func() bool { return strings.Contains(must(t, "logs", vps), "still here") })
	kill9(t, inspect(t, vps).MonitorPID)
	eventually(t, "it has a new holder", func() bool { _ = must(t, "list"); return inspect(t, vps).MonitorPID != 0 })
	if got := sh(t, vps, "grep MemTotal /proc/meminfo"); strings.Join(strings.Fields(got), " ") != "MemTotal: 65536 kB" {
		t.Errorf("after a new holder it sees %q", got)
	}
}

// A program inside that reads all the time gets a small part of a CPU of the host, and
// the console and the end of the VPS do not wait for it.
func TestReadersCannotStopTheHolder(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	for range 3 {
		_, wait := background(t, "exec", vps, "--", "sh", "-c", "while :; do cat /proc/stat /proc/loadavg /proc/meminfo; done >/dev/null")
		defer wait()
	}
	eventually(t, "the readers read", func() bool { return sh(t, vps, "pidof cat; true") != "" })
	sh(t, vps, "echo through it >/dev/console")
	eventually(t, "the console works", func() bool { return strings.Contains(must(t, "logs", vps), "through it") })
	monitor := inspect(t, vps).MonitorPID
	must(t, "stop", "--fast", vps)
	eventually(t, "its holder ends", func() bool { return syscall.Kill(monitor, 0) != nil })
}

// The tools of a distribution show the VPS, and an ordinary user who fills the tmpfs of
// systemd's /tmp does not end it.
func TestToolsShowTheVPS(t *testing.T) {
	needs(t, "debian-13")
	hostAsBefore(t)
	vps := boot(t, "debian-13", "--memory", "512M", "--swap", "0", "--cpus", "1")
	number := func(script string) (n float64) {
		t.Helper()
		text := sh(t, vps, script)
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Errorf("%s: %q", script, text)
		}
		return n
	}
	for script, want := range map[string]float64{
		"free -k | awk '/^Mem:/ { print $2 }'":                                            512 << 10,
		"free -k | awk '/^Swap:/ { print $2 }'":                                           0,
		"vmstat -s | awk '/total memory/ { print $1 }'":                                   512 << 10,
		"LC_ALL=C top -b -n 1 -E k | sed -n 's/^KiB Mem *: *\\([0-9.]*\\) total.*/\\1/p'": 512 << 10,
		"LC_ALL=C lscpu | awk '/^On-line CPU/ { print $NF }'":                             0,
		"getconf _NPROCESSORS_ONLN":                                                       1,
	} {
		if got := number(script); got != want {
			t.Errorf("%s: %v, want %v", script, got, want)
		}
	}
	if used := number("free -k | awk '/^Mem:/ { print $3 }'"); used < 1<<10 || used > 400<<10 {
		t.Errorf("it uses %v kB", used)
	}
	if up := number("awk '{ print $1 }' /proc/uptime"); up > 3600 {
		t.Errorf("it is up %v seconds", up)
	}
	if r := try("exec", "--user", "nobody", vps, "--", "dd", "if=/dev/zero", "of=/tmp/full", "bs=1M", "count=600"); r.status == 0 || !strings.Contains(r.errOut, "No space left") {
		t.Errorf("a user fills /tmp: %s", r)
	}
	if r := try("exec", "--user", "nobody", vps, "--", "dd", "if=/dev/zero", "of=/dev/shm/full", "bs=1M", "count=600"); r.status == 0 || !strings.Contains(r.errOut, "No space left") {
		t.Errorf("a user fills /dev/shm: %s", r)
	}
	if got := in(t, vps, "systemctl", "is-system-running", "--wait"); got != "running" {
		t.Errorf("afterwards it is %s", got)
	}
}
