//go:build integration

package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"croft/integration/attack"
)

// The numbers of i386 (asm/unistd_32.h) and of socketcall(2).
const (
	socketcall32 = 102
	socket32     = 359
	sysSocket    = 1
)

// callsInside makes system calls that the filter of a VPS decides on and prints a
// line for each: its name and the kernel's answer.
func callsInside() int {
	const dirty = 0xdead0000 << 32
	say := func(name string, e unix.Errno) {
		answer := "ok"
		if e != 0 {
			answer = unix.ErrnoName(e)
		}
		fmt.Printf("%s: %s\n", name, answer)
	}
	socket := func(name string, family, typ, protocol uintptr) {
		fd, _, e := unix.Syscall(unix.SYS_SOCKET, family, typ, protocol)
		if e == 0 {
			unix.Close(int(fd))
		}
		say(name, e)
	}
	socket("inet", unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	socket("route", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	socket("alg", unix.AF_ALG, unix.SOCK_SEQPACKET, 0)
	socket("alg dirty", unix.AF_ALG|dirty, unix.SOCK_SEQPACKET|dirty, dirty)
	socket("audit", unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	socket("audit dirty", unix.AF_NETLINK|dirty, unix.SOCK_RAW|dirty, unix.NETLINK_AUDIT|dirty)
	socket("vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	socket("vsock dirty", unix.AF_VSOCK|dirty, unix.SOCK_STREAM|dirty, dirty)

	say("io_uring", setUpRing())
	if attack.Has32 {
		return calls32(say)
	}
	return 0
}

func socketWorks(family int) error {
	fd, err := unix.Socket(family, unix.SOCK_SEQPACKET, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func setUpRing() unix.Errno {
	var params [120]byte // struct io_uring_params
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if e == 0 {
		unix.Close(int(fd))
	}
	return e
}

func calls32(say func(string, unix.Errno)) int {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT)
	if err != nil {
		fmt.Fprintln(os.Stderr, "calls:", err)
		return 1
	}
	ask := func(name string, result int32) {
		if result < 0 {
			say(name, unix.Errno(-result))
			return
		}
		unix.Close(int(result))
		say(name, 0)
	}
	args := (*[3]uint32)(unsafe.Pointer(&page[0]))
	at := uintptr(unsafe.Pointer(&page[0]))
	*args = [3]uint32{unix.AF_INET, unix.SOCK_STREAM, 0}
	ask("32-bit socketcall inet", attack.Call32(socketcall32, sysSocket, at, unix.NETLINK_AUDIT))
	ask("32-bit inet", attack.Call32(socket32, unix.AF_INET, unix.SOCK_STREAM, 0))
	ask("32-bit alg", attack.Call32(socket32, unix.AF_ALG, unix.SOCK_SEQPACKET, 0))
	ask("32-bit audit", attack.Call32(socket32, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT))
	ask("32-bit vsock", attack.Call32(socket32, unix.AF_VSOCK, unix.SOCK_STREAM, 0))
	return 0
}

// What reaches past the namespaces of a VPS is denied, whatever stands in the
// halves of arguments that the kernel ignores, and nothing else is.
func TestSystemCallFilter(t *testing.T) {
	hostAsBefore(t)
	answers := func(vps string) map[string]string {
		t.Helper()
		bring(t, vps)
		all := map[string]string{}
		for line := range strings.Lines(must(t, "exec", "--env", stageVariable+"="+callsStage, vps, "--", "/attack")) {
			name, answer, _ := strings.Cut(strings.TrimSpace(line), ": ")
			all[name] = answer
		}
		return all
	}
	want := map[string]string{
		"inet": "ok", "route": "ok", "io_uring": "ENOSYS",
		"alg": "EAFNOSUPPORT", "audit": "EAFNOSUPPORT", "vsock": "EAFNOSUPPORT",
		"alg dirty": "EAFNOSUPPORT", "audit dirty": "EAFNOSUPPORT", "vsock dirty": "EAFNOSUPPORT",
	}
	if attack.Has32 {
		want["32-bit socketcall inet"], want["32-bit inet"] = "ok", "ok"
		want["32-bit alg"], want["32-bit audit"], want["32-bit vsock"] = "EAFNOSUPPORT", "EAFNOSUPPORT", "EAFNOSUPPORT"
	}
	got := answers(boot(t, "busybox"))
	for name, answer := range want {
		if got[name] != answer {
			t.Errorf("%s: %s, not %s", name, got[name], answer)
		}
	}

	t.Run("minimal", func(t *testing.T) {
		vps := boot(t, "busybox", "--seccomp", "minimal")
		got := answers(vps)
		for name, answer := range want {
			if !strings.Contains(name, "audit") && got[name] != answer {
				t.Errorf("%s: %s, not %s", name, got[name], answer)
			}
		}
		if state := must(t, "exec", vps, "--", "grep", "Seccomp:", "/proc/1/status"); !strings.HasSuffix(state, "2") {
			t.Errorf("its init: %s", state)
		}
		must(t, "set", vps, "--seccomp", "off")
		if pending := must(t, "list", "--columns", "pending", "--no-header", vps); !strings.Contains(pending, "seccomp") {
			t.Errorf("pending: %s", pending)
		}
		must(t, "restart", vps)
		got = answers(vps)
		if (got["alg"] == "ok") != (socketWorks(unix.AF_ALG) == nil) || (got["io_uring"] == "ok") != (setUpRing() == 0) {
			t.Errorf("without a filter it cannot do what the host can: %v", got)
		}
		for _, who := range []string{"1", "self"} {
			if state := must(t, "exec", vps, "--", "grep", "Seccomp:", "/proc/"+who+"/status"); !strings.HasSuffix(state, "0") {
				t.Errorf("process %s: %s", who, state)
			}
		}
		refused(t, 2, "a privileged VPS has the default filter", "create", name(t, "f"), "--template", "busybox", "--privileged", "--seccomp", "off")
	})

	t.Run("allowed", func(t *testing.T) {
		got := answers(boot(t, "busybox", "--allow", "vsock", "--allow", "io_uring"))
		fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
		vsock := err == nil // the kernel of this machine has it
		unix.Close(fd)
		if (got["vsock"] == "ok") != vsock {
			t.Errorf("vsock: %s inside; on the host: %v", got["vsock"], err)
		}
		if (got["io_uring"] == "ok") != (setUpRing() == 0) {
			t.Errorf("io_uring: %s inside; on the host: %v", got["io_uring"], setUpRing())
		}
		if got["audit"] != "EAFNOSUPPORT" || got["alg"] != "EAFNOSUPPORT" {
			t.Errorf("more is allowed than was asked for: %v", got)
		}
		refused(t, 2, "allow vsock io_uring capabilities", "create", name(t, "f"), "--template", "busybox", "--allow", "everything")
	})
}
