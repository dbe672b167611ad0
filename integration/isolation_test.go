//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestIsolation(t *testing.T) {
	hostAsBefore(t)
	one, two := boot(t, "busybox"), boot(t, "busybox")
	a, b := inspect(t, one), inspect(t, two)

	t.Run("ids", func(t *testing.T) {
		if a.IDs.Size < 65536 || b.IDs.Size < 65536 ||
			a.IDs.First < b.IDs.First+b.IDs.Size && b.IDs.First < a.IDs.First+a.IDs.Size {
			t.Errorf("ids overlap: %+v %+v", a.IDs, b.IDs)
		}
		if got := field(t, monitorDir(a.PID)+"/status", "Uid:"); got != int(a.IDs.First) {
			t.Errorf("its init is user %d on the host, not %d", got, a.IDs.First)
		}
		if got := sh(t, one, "stat -c %u:%g /etc/passwd /bin/busybox | sort -u"); got != "0:0" {
			t.Errorf("files of the template belong to %s", got)
		}
	})

	t.Run("namespaces", func(t *testing.T) {
		for _, ns := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} {
			var links []string
			for _, pid := range []int{os.Getpid(), a.PID, b.PID} {
				link, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns", ns))
				if err != nil {
					t.Fatal(err)
				}
				links = append(links, link)
			}
			if links[0] == links[1] || links[0] == links[2] || links[1] == links[2] {
				t.Errorf("%s namespaces are shared: %v", ns, links)
			}
		}
	})

	t.Run("processes", func(t *testing.T) {
		_, wait := background(t, "exec", one, "--", "sleep", "12345")
		eventually(t, "it is seen in its own VPS", func() bool { return strings.Contains(in(t, one, "ps"), "sleep 12345") })
		if got := in(t, two, "ps"); strings.Contains(got, "sleep 12345") {
			t.Errorf("and in another:\n%s", got)
		}
		sh(t, one, "kill -9 $(pidof sleep)")
		if r := wait(); r.status != 137 {
			t.Error(r)
		}
		if r := try("exec", two, "--", "kill", "-0", strconv.Itoa(a.PID)); r.status == 0 {
			t.Error("a process of the host can be signalled")
		}
	})

	t.Run("names, sysctls, IPC, mounts", func(t *testing.T) {
		sh(t, one, `hostname changed
			echo 12345 >/proc/sys/net/ipv4/ip_local_reserved_ports
			mkdir -p /mnt/x; mount -t tmpfs mine /mnt/x; echo secret >/mnt/x/file; echo secret >/dev/shm/file`)
		if got := in(t, two, "hostname"); got != two {
			t.Errorf("another VPS is now called %s", got)
		}
		if got := in(t, two, "cat", "/proc/sys/net/ipv4/ip_local_reserved_ports"); got != "" {
			t.Errorf("another VPS's sysctl is now %s", got)
		}
		if got := sh(t, two, "cat /proc/mounts; ls /mnt /dev/shm"); strings.Contains(got, "mine") || strings.Contains(got, "file") {
			t.Errorf("seen in another VPS:\n%s", got)
		}
	})

	t.Run("host", func(t *testing.T) {
		for _, script := range []string{
			"echo 1 >/proc/sys/kernel/panic",
			"echo x >/proc/sys/kernel/core_pattern",
			"echo c >/proc/sysrq-trigger",
			"echo 0 >/sys/devices/system/cpu/cpu1/online",
			"head -c 1 /proc/kcore",
			"head -c 1 /dev/mem",
			"mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk",
			"mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem",
			"date -s 2001-01-01; [ $(date +%Y) = 2001 ]",
			"echo 0 >/proc/sys/vm/overcommit_memory",
			"mount -t proc none /mnt && echo b >/mnt/sysrq-trigger",
			"swapon /etc/passwd",
			"insmod /etc/passwd",
			"dmesg -c",
		} {
			if r := try("exec", one, "--", "sh", "-c", script); r.status == 0 {
				t.Errorf("allowed inside: %s\n%s", script, r)
			}
		}
	})

	t.Run("own sysctls", func(t *testing.T) {
		sh(t, one, "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 2048 >/proc/sys/net/core/somaxconn; sysctl -w net.ipv4.tcp_syncookies=0")
		if got := in(t, one, "cat", "/proc/sys/net/core/somaxconn"); got != "2048" {
			t.Errorf("somaxconn %s", got)
		}
	})

	t.Run("processors", func(t *testing.T) {
		here, err := os.ReadFile("/sys/devices/system/cpu/online")
		if err != nil {
			t.Fatal(err)
		}
		if got := sh(t, one, "grep Cpus_allowed_list /proc/self/status | cut -f2"); got != strings.TrimSpace(string(here)) {
			t.Errorf("it may use %s of %s", got, here)
		}
	})
}

func TestLimits(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory", "64M", "--pids", "100", "--cpus", "0.5")
	in(t, vps, "true")

	t.Run("pids", func(t *testing.T) {
		// At the limit nobody gets in: who is in has to end them, without a fork.
		r := try("exec", vps, "--", "sh", "-c", "trap 'kill -9 -1' EXIT; "+
			"i=0; while [ $i -lt 300 ]; do sleep 60 & i=$((i+1)); done; set -- /proc/[0-9]*; echo $#")
		if r.status == 0 || !strings.Contains(r.errOut, "can't fork") {
			t.Errorf("300 processes where 100 may be: %s", r)
		}
		eventually(t, "all of them are gone", func() bool {
			return try("exec", vps, "--", "sh", "-c", "! ps | grep -q 'sleep 60$'").status == 0
		})
	})

	t.Run("memory", func(t *testing.T) {
		if r := try("exec", vps, "--", "sh", "-c", "head -c 32M /dev/zero | tail -c 32M | wc -c"); r.status != 0 {
			t.Errorf("32 of 64 MiB: %s", r)
		}
		if r := try("exec", vps, "--", "tail", "-c", "300000000", "/dev/zero"); r.status != 137 {
			t.Errorf("300 MB in 64 MiB: %s", r)
		}
		wantStatus(t, vps, "running")
	})

	t.Run("cpus", func(t *testing.T) {
		// Two seconds of processor time are what four seconds have.
		out := sh(t, vps, `sh -c 'while :; do :; done' & p=$!; sleep 4; cut -d' ' -f14,15 /proc/$p/stat; kill $p`)
		used := strings.Fields(out) // user and system time in ticks of 10 ms
		user, err1 := strconv.Atoi(used[0])
		system, err2 := strconv.Atoi(used[1])
		if ticks := user + system; err1 != nil || err2 != nil || ticks < 100 || ticks > 240 {
			t.Errorf("in four seconds it had %d ticks of half a processor: %s", ticks, out)
		}
	})
}

// Limits of a VPS's own user namespace.
func TestUserSysctls(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--sysctl", "user.max_net_namespaces=7", "--sysctl", "kernel.shmmni=99")
	for range 2 {
		if got := in(t, vps, "cat", "/proc/sys/user/max_net_namespaces", "/proc/sys/kernel/shmmni"); got != "7\n99" {
			t.Error(got)
		}
		must(t, "restart", "--wait", vps)
	}
}
