package holder

import (
	"os"
	"path/filepath"
	"testing"

	"croft/internal/fail"
)

func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bin")
	path, err := Install(dir)
	if _, built := os.Stat("embedded/holder"); built != nil {
		if !fail.Is(err, fail.Host) || fail.HintOf(err) != "make build" {
			t.Errorf("without a holder: %v, hint %q", err, fail.HintOf(err))
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	first := stat(t, path)
	if first.Mode() != 0o755 {
		t.Errorf("mode %v", first.Mode())
	}
	if again, err := Install(dir); err != nil || again != path || !os.SameFile(first, stat(t, path)) {
		t.Errorf("the second time: %s, %v", again, err)
	}
	if err := os.Truncate(path, 100); err != nil { // as a crash of the machine may
		t.Fatal(err)
	}
	if _, err := Install(dir); err != nil || stat(t, path).Size() != first.Size() {
		t.Errorf("a broken one is not replaced: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st
}
