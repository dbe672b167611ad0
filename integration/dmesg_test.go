//go:build integration

package integration

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A VPS has kernel messages of its own, which its root reads and writes.
func TestKernelMessages(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none")
	const read = "timeout 1 cat /dev/kmsg 2>/dev/null; true"
	hello := "croft: VPS " + vps + " has started (boot 1)"
	if got := sh(t, vps, read); !regexp.MustCompile(`^6,0,\d+,-;` + regexp.QuoteMeta(hello) + `$`).MatchString(strings.TrimSpace(got)) {
		t.Errorf("the first message is %q", got)
	}
	cmd, wait := background(t, "exec", vps, "--", "sh", "-c", "cat /dev/kmsg >/tmp/follows")
	defer cmd.Process.Signal(syscall.SIGKILL)
	eventually(t, "a reader waits", func() bool { return strings.Contains(sh(t, vps, "cat /tmp/follows 2>/dev/null; true"), hello) })
	sh(t, vps, "echo '<3>written' >/dev/kmsg; echo appended >>/dev/kmsg")
	for want, command := range map[string]string{
		",-;appended": "cat /tmp/follows 2>/dev/null; true", "\n11,1,": "cat /tmp/follows 2>/dev/null; true", "\n12,2,": read, "] written": "timeout 1 cat /proc/kmsg 2>/dev/null; true",
	} {
		eventually(t, command+" shows "+want, func() bool { return strings.Contains(sh(t, vps, command), want) })
	}
	for _, file := range []string{"/dev/kmsg", "/proc/kmsg"} {
		if r := try("exec", "--user", "nobody", vps, "--", "cat", file); r.status == 0 || !strings.Contains(r.errOut, "Permission denied") {
			t.Errorf("a user reads %s: %s", file, r)
		}
	}
	if r := try("exec", vps, "--", "dmesg"); r.status == 0 || !strings.Contains(r.errOut, "Operation not permitted") { // syslog(2)
		t.Errorf("the host's messages can be read: %s", r)
	}
	if got := sh(t, vps, `head -c 2000 /dev/zero >/dev/kmsg 2>&1; chmod 666 /dev/kmsg 2>&1; stat -c %a /dev/kmsg`); !strings.HasSuffix(got, "600") {
		t.Errorf("it is changed: %s", got)
	}

	kill9(t, inspect(t, vps).MonitorPID)
	if r := wait(); r.status == 0 {
		t.Errorf("a read does not fail without a monitor: %s", r)
	}
	eventually(t, "a new monitor has new messages", func() bool {
		return strings.Contains(sh(t, vps, read), "croft: VPS "+vps+" has a new monitor")
	})
	if got := sh(t, vps, "grep -c '^croft .*/kmsg ' /proc/mounts"); got != "2" {
		t.Errorf("%s files are mounted", got)
	}
}

// Without kernel messages a VPS has no /dev/kmsg, and an empty /proc/kmsg. That takes effect at
// the next start.
func TestKernelMessagesAreOff(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none", "--dmesg", "off")
	const look = "ls /dev/kmsg 2>/dev/null; [ ! -p /proc/kmsg ] || echo pipe"
	if got := sh(t, vps, look); got != "pipe" {
		t.Errorf("it has %q", got)
	}
	if r := try("set", vps, "--dmesg", "on"); r.status != 0 || !strings.Contains(r.errOut, "next start: dmesg") {
		t.Error(r)
	}
	kill9(t, inspect(t, vps).MonitorPID)
	eventually(t, "it has a new monitor", func() bool { _ = must(t, "list"); return inspect(t, vps).MonitorPID != 0 })
	if got := sh(t, vps, look); got != "pipe" {
		t.Errorf("with a new monitor it has %q", got)
	}
	must(t, "restart", "--fast", vps)
	if got := sh(t, vps, look); got != "/dev/kmsg" {
		t.Errorf("after a restart it has %q", got)
	}
}

// Packets that the filters of the host drop are in the kernel messages, for each reason and
// interface, and those of another VPS are not. A VPS with a new monitor is told of them again.
func TestDroppedPacketsAreMessages(t *testing.T) {
	hostAsBefore(t)
	vps, other := boot(t, "busybox"), boot(t, "busybox")
	const read = "timeout 1 cat /dev/kmsg 2>/dev/null; true"
	spoof := func() { // the first packet asks for the MAC address of the gateway, with the right sender
		sh(t, vps, "ping -c 1 -W 60 "+gateway(t, vps)+" >/dev/null; ip address add 203.0.113.7/32 dev eth0; ping -c 1 -W 1 -I 203.0.113.7 "+gateway(t, vps)+" >/dev/null; ip address del 203.0.113.7/32 dev eth0")
	}
	message := regexp.MustCompile(`(?m)^4,\d+,\d+,-;croft: eth0: packets dropped by the filter of the host, whose source address is not that of the VPS: (\d+)$`)
	dropped := func(least uint64) (n uint64) {
		eventually(t, "the messages have the packets", func() bool {
			for _, found := range message.FindAllStringSubmatch(sh(t, vps, read), -1) {
				n, _ = strconv.ParseUint(found[1], 10, 64)
			}
			return n >= least
		})
		if counted := droppedOf(t, vps)["source"]; n > counted {
			t.Errorf("%d in a message, %d counted", n, counted)
		}
		return n
	}
	spoof()
	first := dropped(1)
	spoof()
	second := dropped(first + 1)
	kill9(t, inspect(t, vps).MonitorPID)
	eventually(t, "it has a new monitor", func() bool { return strings.Contains(sh(t, vps, read), "has a new monitor") })
	dropped(second)
	if got := sh(t, other, read); strings.Contains(got, "dropped") {
		t.Errorf("another VPS has: %s", got)
	}
}

// dmesg and the journal of a distribution show the messages of the VPS, and none of the host.
func TestDmesg(t *testing.T) {
	needs(t, "debian-13")
	hostAsBefore(t)
	vps := boot(t, "debian-13", "--network", "none")
	hello := "croft: VPS " + vps + " has started (boot 1)"
	for _, command := range []string{"dmesg", "dmesg --time-format iso", "journalctl -k --no-pager", "timeout -s INT 1 dmesg --follow; true"} {
		eventually(t, command, func() bool { return strings.Contains(sh(t, vps, command), hello) })
	}
	if got := sh(t, vps, "dmesg --facility kern | grep -v 'croft:'; true"); got != "" {
		t.Errorf("messages that are not of croft: %s", got)
	}
	sh(t, vps, `now=$(date +%s); then=$(date -d "$(dmesg --time-format iso | sed -n '1s/ .*//p' | tr , .)" +%s); [ $((now - then)) -ge -2 ]; [ $((now - then)) -le $(($(cut -d. -f1 /proc/uptime) + 2)) ]`)
	cmd, wait := background(t, "exec", vps, "--", "sh", "-c", "dmesg --follow >/tmp/follows")
	defer wait()
	defer cmd.Process.Signal(syscall.SIGKILL)
	eventually(t, "dmesg waits", func() bool { return strings.Contains(sh(t, vps, "cat /tmp/follows 2>/dev/null; true"), hello) })
	sh(t, vps, "echo '<4>of the test' >/dev/kmsg")
	eventually(t, "dmesg goes on", func() bool { return strings.Contains(sh(t, vps, "cat /tmp/follows 2>/dev/null; true"), "of the test") })
	eventually(t, "the journal has it", func() bool { return strings.Contains(sh(t, vps, "journalctl -k --no-pager"), "of the test") })
	if got := in(t, vps, "systemctl", "is-system-running", "--wait"); got != "running" {
		t.Errorf("it is %s", got)
	}
}

// A process that is killed for lack of memory is named in the kernel messages of its VPS, on its
// console and in the events, and in no other VPS.
func TestKilledForMemory(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none", "--memory", "32M", "--swap", "0")
	other := boot(t, "busybox", "--network", "none", "--memory", "32M")
	// The shell waits for all before it reaps, so the pid is known.
	if r := try("exec", vps, "--", "sh", "-c", `cp /bin/busybox "/tmp/ho\"g)"; (echo 1000 >/proc/self/oom_score_adj; exec -a tail "/tmp/ho\"g)" /dev/zero) & sleep 1; wait $!`); r.status != 137 {
		t.Errorf("it is not killed: %s", r)
	}
	line := regexp.MustCompile(`(?m)^3,\d+,\d+,-;Memory cgroup out of memory: Killed process (\d+) \(ho\?g\)\) total-vm:\d+kB, anon-rss:(\d+)kB, [^,]*, [^,]*$`)
	const read = "timeout 1 cat /dev/kmsg 2>/dev/null; true"
	var got []string
	eventually(t, "the kernel messages have it", func() bool { got = line.FindStringSubmatch(sh(t, vps, read)); return got != nil })
	eventually(t, "the console has it", func() bool { return strings.Contains(must(t, "logs", vps), "[croft: out of memory: killed ho?g)") })
	eventually(t, "the events have it", func() bool { return len(events(t, vps, "--filter", "event=oom")) > 0 })
	e := events(t, vps, "--filter", "event=oom")[0].Attributes
	if kB, _ := strconv.Atoi(got[2]); e["process"] != "ho?g)" || e["total"] != "1" || e["memory-bytes"] != strconv.Itoa(kB<<10) || got[1] != "0" && e["pid"] != got[1] {
		t.Errorf("%v, and %q", e, got)
	}
	if text := sh(t, other, read); strings.Contains(text, "memory") {
		t.Errorf("another VPS has %q", text)
	}
}

// A refused process is told to those who read the kernel messages.
func TestRefusedProcessesAreMessages(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none", "--pids", "20")
	if strings.TrimSpace(must(t, "stats", "--interval", "0", "--no-header", "--columns", "pids-hits", vps)) == "-" {
		if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
			t.Fatal("cgroups of version 1 count refused processes, and croft does not show the number")
		}
		t.Skip("this kernel does not count refused processes: Linux before 6.11 with cgroup version 2")
	}
	try("exec", vps, "--", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do sleep 1 & done; wait")
	eventually(t, "the kernel messages have it", func() bool {
		return strings.Contains(try("exec", vps, "--", "timeout", "1", "cat", "/dev/kmsg").out, "4,1,") &&
			strings.Contains(try("exec", vps, "--", "timeout", "1", "cat", "/dev/kmsg").out, "croft: the limit of processes and threads (--pids) was reached; refused since the start: ")
	})
}
