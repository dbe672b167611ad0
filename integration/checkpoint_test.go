//go:build integration

package integration

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// counter is a program that counts in its memory, and tells how far it is.
const counter = `(setsid sh -c 'echo $$ >/tmp/pid; i=0; while :; do i=$((i+1)); echo $i >/tmp/count; sleep 0.1; done' </dev/null >/dev/null 2>&1 &)`

func number(t *testing.T, vps, file string) int {
	t.Helper()
	n, _ := strconv.Atoi(strings.TrimSpace(try("exec", vps, "--", "cat", file).out))
	return n
}

// A process continues where it was, with its pid; so do the network, commands inside, the
// console and a stop. That can be done again.
func TestCheckpoint(t *testing.T) {
	for kind, options := range map[string][]string{"privileged": {"--privileged"}, "unprivileged": nil} {
		t.Run(kind, func(t *testing.T) {
			hostAsBefore(t)
			withCRIU(t)
			vps := boot(t, "busybox", options...)
			if kind == "unprivileged" && !hasSysResource(t) {
				refused(t, 8, "CAP_SYS_RESOURCE", "checkpoint", vps)
				if got := inspect(t, vps).Status; got != "running" {
					t.Errorf("after that it is %s", got)
				}
				t.Skip("root of this host does not have CAP_SYS_RESOURCE")
			}
			sh(t, vps, counter)
			eventually(t, "it counts", func() bool { return number(t, vps, "/tmp/count") > 3 })
			pid, before := number(t, vps, "/tmp/pid"), inspect(t, vps)
			sh(t, vps, "echo 3 >/proc/sys/net/ipv4/tcp_retries2")
			for range 2 {
				count := number(t, vps, "/tmp/count")
				must(t, "checkpoint", vps)
				if got := inspect(t, vps).Status; got != "stopped" {
					t.Errorf("after a checkpoint it is %s", got)
				}
				must(t, "start", vps)
				eventually(t, "it goes on counting", func() bool { return number(t, vps, "/tmp/count") > count })
				if got := number(t, vps, "/tmp/pid"); got != pid || sh(t, vps, "kill -0 "+strconv.Itoa(pid)+" && echo alive") != "alive" {
					t.Errorf("the process %d was %d", got, pid)
				}
				continues(t, vps, before)
			}
			must(t, "stop", vps)
			if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
				t.Errorf("it ended so: %+v", end)
			}
		})
	}
}

// continues sees that a restored VPS has what it had.
func continues(t *testing.T, vps string, before info) {
	t.Helper()
	now := inspect(t, vps)
	if now.Interfaces[0].MAC != before.Interfaces[0].MAC || now.Boot == before.Boot {
		t.Errorf("it was %+v and is %+v", before, now)
	}
	for _, a := range now.Interfaces[0].Addresses {
		to, err := netip.ParsePrefix(a)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, a+" answers", func() bool { return hostPings(to.Addr().String()) })
	}
	if got := sh(t, vps, "cat /proc/sys/net/ipv4/tcp_retries2"); got != "3" {
		t.Errorf("a sysctl that it has set is %s", got)
	}
	if got := sh(t, vps, "mount | grep -c ' /proc/meminfo type fuse.croft '"); got != "1" {
		t.Errorf("it has %s files of its own for its memory", got)
	}
	sh(t, vps, "echo shown on the console >/dev/console")
	eventually(t, "its console is logged", func() bool { return strings.Contains(must(t, "logs", vps), "shown on the console") })
	console := onTerminal(t, "console", vps)
	console.expect("shown on the console")
	console.typ("\r")
	console.expect("login:")
}

// What cannot be saved is refused at once, and the VPS runs on.
func TestCheckpointRefuses(t *testing.T) {
	hostAsBefore(t)
	withCRIU(t)
	vps := boot(t, "busybox", "--privileged", "--network", "none")
	sh(t, vps, counter)
	for words, script := range map[string]string{
		"belongs to a command of croft exec":                    "sleep 3600",
		"has /proc/meminfo open, a file that croft answers for": "exec 3</proc/meminfo; (setsid sleep 3600 &)",
		"namespace of its own":                                  "(setsid unshare -u sleep 3600 &)",
		"it has made the interface dummy7":                      "ip link add dummy7 type dummy",
		"it has made the address 192.0.2.77/32":                 "ip addr add 192.0.2.77/32 dev lo",
	} {
		if script == "sleep 3600" {
			background(t, "exec", vps, "--", "sleep", "3600")
		} else if r := try("exec", vps, "--", "sh", "-c", script+" </dev/null >/dev/null 2>&1"); r.status != 0 {
			t.Logf("%s: cannot be tried: %s", words, r)
			continue
		}
		eventually(t, words, func() bool { return strings.Contains(try("checkpoint", vps).errOut, words) })
		refused(t, 5, words, "checkpoint", vps)
		sh(t, vps, "killall sleep; ip link del dummy7; ip addr del 192.0.2.77/32 dev lo; true")
	}
	count := number(t, vps, "/tmp/count")
	eventually(t, "it goes on counting", func() bool { return number(t, vps, "/tmp/count") > count })
	must(t, "stop", vps)
	refused(t, 5, "not running", "checkpoint", vps)
}

// A start from a checkpoint is refused if the files or the settings have changed since, and
// start --cold boots.
func TestCheckpointOfOtherFiles(t *testing.T) {
	hostAsBefore(t)
	withCRIU(t)
	vps := boot(t, "busybox", "--privileged", "--network", "none")
	sh(t, vps, counter)
	must(t, "checkpoint", vps)
	must(t, "set", "--memory", "64M", vps)
	refused(t, 5, "its settings have changed since", "start", vps)
	must(t, "set", "--memory", "default", vps)
	must(t, "start", vps)
	eventually(t, "it counts", func() bool { return number(t, vps, "/tmp/count") > 0 })

	must(t, "checkpoint", vps)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "cp", file, vps+":/root/file")
	refused(t, 5, "its files have changed since", "start", vps)
	if got := inspect(t, vps).Status; got != "stopped" {
		t.Errorf("after that it is %s", got)
	}
	must(t, "start", "--cold", "--wait", vps)
	if r := try("exec", vps, "--", "pidof", "sleep"); r.status == 0 {
		t.Errorf("its processes are back: %s", r)
	}
	must(t, "stop", vps)
	must(t, "start", vps) // there is no checkpoint any more
}

func hasSysResource(t *testing.T) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		t.Fatal(err)
	}
	return caps[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}
