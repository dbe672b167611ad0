package rootfs

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Try leaves nothing behind, and removes the directory of a killed trial.
func TestTry(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts")
	}
	dir := t.TempDir()
	killed := filepath.Join(dir, trialPrefix+"999999999") // above any pid (PID_MAX_LIMIT is 2²²)
	other := filepath.Join(dir, trialPrefix+"of-somebody")
	lives := filepath.Join(dir, trialPrefix+strconv.Itoa(os.Getppid()))
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

// Try detects that overlay does not work on the filesystem of another overlay.
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
	err := overlay{lowers: []string{filepath.Join(dir, "lower")}, upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work")}.mount(at)
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
