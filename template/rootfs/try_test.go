package rootfs

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// What a host can do is found out, and nothing of that is left, nor of a trial
// that was killed.
func TestTry(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts")
	}
	dir := t.TempDir()
	killed := filepath.Join(dir, tryPrefix+"999999999") // above any pid (PID_MAX_LIMIT is 2²²)
	other := filepath.Join(dir, tryPrefix+"of-somebody")
	lives := filepath.Join(dir, tryPrefix+strconv.Itoa(os.Getppid()))
	for _, d := range []string{killed, other, lives} {
		if err := os.MkdirAll(filepath.Join(d, "layer"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	trial, err := Try(dir)
	if err != nil || trial != (Trial{}) {
		t.Errorf("other tests here mount root filesystems: %+v, %v", trial, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// An overlay that lies on another cannot hold a VPS's files: that is found out.
func TestTryOnOverlay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts")
	}
	dir := t.TempDir()
	for _, d := range []string{"lower", "upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := filepath.Join(dir, "root")
	err := MountOverlay(at, []string{filepath.Join(dir, "lower")}, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	trial, err := Try(at)
	if err != nil || trial.Namespace != nil || trial.Shift == nil && trial.Overlay == nil {
		t.Errorf("%+v, %v", trial, err)
	}
	if left, err := os.ReadDir(at); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
