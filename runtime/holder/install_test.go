package holder

import (
	"bytes"
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

// A file of the same size with other content is replaced, also if only its last byte differs.
func TestInstallCompares(t *testing.T) {
	if _, built := os.Stat("embedded/holder"); built != nil {
		t.Skip("this program was built without its holder, as TestInstall tests")
	}
	dir := t.TempDir()
	path, err := Install(dir)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, pieceSize, len(content) - 1} {
		other := bytes.Clone(content)
		other[at] ^= 1
		if err := os.WriteFile(path, other, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Install(dir); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
			t.Errorf("byte %d is still another one: %v", at, err)
		}
	}
	longer := append(bytes.Clone(content), 0)
	if err := os.WriteFile(path, longer, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(dir); err != nil || stat(t, path).Size() != int64(len(content)) {
		t.Errorf("a longer file is not replaced: %v", err)
	}
}
