//go:build integration

package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

const keysStage = "keys" // use up the keys of the VPS's root

// keysInside takes away the session keyring that init made, makes keys until there
// may be no more, and keeps them until its input ends.
func keysInside() int {
	_, err := unix.KeyctlInt(unix.KEYCTL_REVOKE, unix.KEY_SPEC_SESSION_KEYRING, 0, 0, 0)
	if err == nil {
		_, err = unix.KeyctlJoinSessionKeyring("of-the-test")
	}
	for n := 0; err == nil; n++ {
		_, err = unix.AddKey("user", fmt.Sprint("k", n), []byte("x"), unix.KEY_SPEC_SESSION_KEYRING)
	}
	if err != unix.EDQUOT {
		fmt.Fprintln(os.Stderr, "keys:", err)
		return 1
	}
	fmt.Println("full")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// A VPS whose root has as many keys as it may have can be entered, and gets none
// of the caller's keys.
func TestKeysAreUsedUp(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	bring(t, vps)
	cmd := command(t.Context(), "exec", "--env", stageVariable+"="+keysStage, vps, "--", "/attack")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "full\n" {
		t.Fatalf("%q, %v", line, err)
	}
	for range 2 {
		if got := in(t, vps, "cat", "/proc/self/comm"); got != "cat" {
			t.Error(got)
		}
	}
	term := onTerminal(t, "exec", "-t", vps, "--", "sh", "-c", "echo enters")
	term.expect("enters")
	if got := term.ended(); got != 0 {
		t.Errorf("exit %d", got)
	}
	input.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	must(t, "restart", "--wait", vps)
}

// A VPS whose root already has as many keys as it may have, such as those of its
// last boot that the kernel has not yet removed, starts and restarts.
func TestKeysAreUsedUpAtStart(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	runtime.LockOSThread() // it has the keys, and ends with the test
	id := int(inspect(t, vps).IDs.First)
	var err error
	for n := 0; err == nil; n++ {
		var key int
		if key, err = unix.AddKey("user", fmt.Sprint("k", n), []byte("x"), unix.KEY_SPEC_THREAD_KEYRING); err != nil {
			t.Fatal(err)
		}
		_, err = unix.KeyctlInt(unix.KEYCTL_CHOWN, key, id, -1, 0)
	}
	if err != unix.EDQUOT {
		t.Fatal(err)
	}
	must(t, "start", "--wait", vps)
	must(t, "restart", "--wait", "--fast", vps)
	if got := in(t, vps, "cat", "/proc/1/comm"); got != "init" {
		t.Errorf("its first process is %s", got)
	}
}
