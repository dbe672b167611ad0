package template

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/roottest"
)

// TestAFullDisk: the error is one line, and no files are left. It runs in a process
// with a mount namespace of its own. The store is on a filesystem of one megabyte.
func TestAFullDisk(t *testing.T) {
	roottest.NeedRoot(t)
	small := os.Getenv("CROFT_TEST_SMALL_DISK")
	if small == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), "CROFT_TEST_SMALL_DISK="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // Go makes it private
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestAFullDisk") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	s := Open(filepath.Join(small, "templates"), Options{})
	big := roottest.Rootfs(t, roottest.File("etc/big", strings.Repeat("0123456789abcdef", 1<<17)))
	_, err := s.Import(t.Context(), "x", strings.NewReader(string(big)), ImportOptions{})
	if !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("an import: %v", err)
	}
	roottest.OneLine(t, err)
	if left := files(t, s); left != "" {
		t.Errorf("left\n%s", left)
	}
	_, err = runJob(t.Context(), t, s, "tar c /usr/bin", BuildOptions{}) // we run out
	if !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a build: %v", err)
	}
	_, err = runJob(t.Context(), t, s, "head -c 2000000 /dev/urandom >f && tar c f", BuildOptions{}) // the tool runs out
	if !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a build: %v", err)
	}
	if left := files(t, s); left != "" {
		t.Errorf("left\n%s", left)
	}
}
