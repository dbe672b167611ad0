//go:build integration

package integration

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// overwriteStage opens the program of each new process for writing, until it is killed, and
// prints what it could open.
const overwriteStage = "overwrite"

// overwriteInside is CVE-2019-5736: a process that croft has just put into the VPS has the program
// of the runtime as /proc/PID/exe. It says "ready" when it looks, and "saw" once when it has seen such
// a program.
func overwriteInside() int {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		fmt.Fprintln(os.Stderr, "overwrite:", err)
		return 1
	}
	fmt.Println("ready")
	saw := false
	for end := time.Now().Add(slow(time.Minute)); time.Now().Before(end); {
		all, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, exe := range all {
			held, err := os.Open(exe) // as the process may end before the next step
			if err != nil {
				continue
			}
			is, err := held.Stat()
			name, _ := os.Readlink(exe)
			inside, missing := os.Stat(name)
			foreign := err == nil && !os.SameFile(is, own) && (missing != nil || !os.SameFile(is, inside))
			if foreign {
				if !saw {
					fmt.Println("saw")
					saw = true
				}
				err := unix.ETXTBSY
				for tries := time.Now().Add(slow(time.Second)); err == unix.ETXTBSY && time.Now().Before(tries); { // until it has ended
					err = openToWrite(held)
				}
				if err == 0 {
					fmt.Printf("opened %s\n", name)
				}
			}
			held.Close()
		}
	}
	return 0
}

// openToWrite opens the file of f again, for writing.
func openToWrite(f *os.File) unix.Errno {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
		return 0
	}
	var number unix.Errno
	errors.As(err, &number)
	return number
}

// A program inside cannot write the program of croft, which the first process of each exec is, also
// if what is executed leads to that program, and if root inside is root of the host.
func TestRuntimeIsNotOverwritten(t *testing.T) {
	hostAsBefore(t)
	sum := func() [32]byte {
		data, err := os.ReadFile(world.croft)
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(data)
	}
	before := sum()
	for _, options := range [][]string{{}, {"--privileged"}} {
		vps := boot(t, "busybox", append([]string{"--network", "none"}, options...)...)
		bring(t, vps)
		must(t, "exec", vps, "--", "sh", "-c", `printf '#!/proc/self/exe\n' >/evil; chmod 755 /evil; `+
			stageVariable+"="+overwriteStage+" /attack >/found 2>&1 &")
		eventually(t, "it looks for programs", func() bool {
			return strings.Contains(must(t, "exec", vps, "--", "cat", "/found"), "ready")
		})
		found := ""
		eventually(t, "it has seen the program of croft", func() bool {
			try("exec", vps, "--", "/evil")
			must(t, "exec", vps, "--", "true")
			found = must(t, "exec", vps, "--", "cat", "/found")
			return strings.Contains(found, "saw")
		})
		if strings.Contains(found, "opened") {
			t.Errorf("%v: %s", options, found)
		}
		if sum() != before {
			t.Fatalf("%v: the program of croft is another one", options)
		}
		destroy(t, vps)
	}
}

// A command beside the init has no descriptor of the host: neither one that it could list, nor
// one that its directory could be (CVE-2024-21626).
func TestNoDescriptorOfTheHost(t *testing.T) {
	hostAsBefore(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	vps := boot(t, "busybox", "--network", "none")
	for fd := range 24 {
		for _, process := range []string{"self", "1"} {
			r := try("exec", "--cwd", fmt.Sprintf("/proc/%s/fd/%d", process, fd), vps, "--", "sh", "-c", "cat ../../../../../../../../../.."+secret+" ."+secret)
			if strings.Contains(r.out, "of the host") {
				t.Errorf("by descriptor %d of process %s: %s", fd, process, r)
			}
		}
	}
	for line := range strings.Lines(must(t, "exec", vps, "--", "sh", "-c", "for f in /proc/self/fd/* /proc/1/fd/*; do readlink $f; done; true")) {
		file := strings.TrimSpace(line)
		if filepath.IsAbs(file) && !strings.HasPrefix(file, "/dev/") && !strings.HasPrefix(file, "/proc/") {
			t.Errorf("a descriptor of %s", file)
		}
	}
}
