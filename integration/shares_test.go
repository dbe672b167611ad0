//go:build integration

package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel counts what a VPS uses of inotify and the like for the VPS itself:
// one that uses up all of it leaves others and the host theirs.
func TestOwnShareOfInotify(t *testing.T) {
	needs(t, "debian-12")
	hostAsBefore(t)
	greedy, other := boot(t, "debian-12"), boot(t, "busybox")
	// Perl's number of inotify_init1 is that of the architecture.
	number := map[string]int{"x86_64": 294, "aarch64": 26}[machine(t)]
	open := fmt.Sprintf(`my $n = 0; while (syscall(%d, 0) >= 0) { $n++; last if $n > 100000 } print "$n $!\n"; `, number)
	took := in(t, greedy, "perl", "-e", open)
	var most int
	limit := readFile(t, "/proc/sys/fs/inotify/max_user_instances")
	if _, err := fmt.Sscan(limit, &most); err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(took, &n); err != nil || n == 0 || n > most || !strings.Contains(took, "Too many open files") {
		t.Errorf("one VPS got %q instances, where the host's limit is %d: %v", took, most, err)
	}
	// It holds on to them.
	_, wait := background(t, "exec", greedy, "--", "perl", "-e", open+"$| = 1; print qq(all\n); sleep 1000")
	defer wait()
	defer in(t, greedy, "sh", "-c", "kill $(pidof perl)")
	eventually(t, "the greedy VPS has all its instances", func() bool {
		return try("exec", greedy, "--", "perl", "-e", fmt.Sprintf("exit(syscall(%d, 0) >= 0)", number)).status == 0
	})
	if owner := ownerOfUserNamespace(t, inspect(t, other).PID); owner != inspect(t, other).IDs.First {
		t.Errorf("the user namespace belongs to %d, not to its own root", owner)
	}
	third := boot(t, "debian-12") // whose systemd needs some
	if got := in(t, third, "systemctl", "is-system-running", "--wait"); got != "running" {
		t.Errorf("another VPS: %s", got)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func machine(t *testing.T) string {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(u.Machine[:])
}

// ownerOfUserNamespace asks the kernel (ioctl_ns(2)).
func ownerOfUserNamespace(t *testing.T, pid int) uint32 {
	t.Helper()
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	const getOwnerUID = 0xb704 // NS_GET_OWNER_UID
	var owner uint32
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, ns.Fd(), getOwnerUID, uintptr(unsafe.Pointer(&owner))); errno != 0 {
		t.Fatal(errno)
	}
	return owner
}
