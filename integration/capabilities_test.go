//go:build integration

package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const powersStage = "powers" // try what capabilities would give on the host

// powersInside tries what each capability that a VPS can be allowed, and some that
// it has anyway, would give over the host. It prints a line for each: its name and
// the kernel's answer.
func powersInside() int {
	say := func(name string, err error) {
		answer := "ok"
		if err != nil {
			answer = err.Error()
			if e, is := err.(unix.Errno); is {
				answer = unix.ErrnoName(e)
			}
		}
		fmt.Printf("%s: %s\n", name, answer)
	}
	call := func(nr uintptr, args ...uintptr) error {
		var a [6]uintptr
		copy(a[:], args)
		if _, _, e := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); e != 0 {
			return e
		}
		return nil
	}
	say("load a module", call(unix.SYS_INIT_MODULE))
	say("remove a module", call(unix.SYS_DELETE_MODULE))

	var now unix.Timeval
	_ = unix.Gettimeofday(&now)
	say("settimeofday", unix.Settimeofday(&now))
	var at unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &at)
	say("clock_settime", unix.ClockSettime(unix.CLOCK_REALTIME, &at))
	var clock unix.Timex
	_, _ = unix.Adjtimex(&clock)
	clock.Modes = 0x0002 // ADJ_FREQUENCY
	_, err := unix.Adjtimex(&clock)
	say("adjtimex", err)

	say("map the page at 0", call(unix.SYS_MMAP, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, ^uintptr(0), 0))
	say("make /dev/mem", unix.Mknod("/dev/mem-of-the-test", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 1))))
	_, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT)
	say("audit", err)
	say("mount securityfs", unix.Mount("securityfs", "/mnt", "securityfs", 0, ""))
	_, err = unix.Klogctl(9, nil) // SYSLOG_ACTION_SIZE_UNREAD
	say("kernel log", err)
	_, err = unix.TimerfdCreate(unix.CLOCK_REALTIME_ALARM, 0)
	say("alarm", err)
	return 0
}

// A VPS can be allowed all capabilities. They give it nothing over the host.
func TestAllCapabilities(t *testing.T) {
	hostAsBefore(t)
	refused(t, 2, "privileged capabilities", "create", name(t, "c"), "--template", "busybox", "--privileged", "--allow", "capabilities")
	vps := boot(t, "busybox", "--allow", "capabilities")
	last, err := strconv.Atoi(sh(t, vps, "cat /proc/sys/kernel/cap_last_cap"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sh(t, vps, "grep CapBnd /proc/self/status"), fmt.Sprintf("%016x", uint64(1)<<(last+1)-1); !strings.HasSuffix(got, want) {
		t.Errorf("it has %s, not %s", got, want)
	}
	bring(t, vps)
	got := map[string]string{}
	for line := range strings.Lines(must(t, "exec", "--env", stageVariable+"="+powersStage, vps, "--", "/attack")) {
		name, answer, _ := strings.Cut(strings.TrimSpace(line), ": ")
		got[name] = answer
	}
	for name, want := range map[string]string{
		"load a module": "ENOSYS", "remove a module": "ENOSYS", "settimeofday": "EPERM", "clock_settime": "EPERM", "adjtimex": "EPERM",
		"map the page at 0": "EPERM", "make /dev/mem": "EPERM", "audit": "EAFNOSUPPORT", "mount securityfs": "EPERM",
		"kernel log": "EPERM", "alarm": "EPERM",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, not %s", name, got[name], want)
		}
	}
	// Units that look for a capability before they start do not fail.
	bootedClean(t, boot(t, "debian-13", "--network", "none", "--allow", "capabilities"), "debian-13")
}
