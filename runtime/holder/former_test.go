package holder

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Installing a version removes what older ones and killed installs have left.
func TestInstallRemovesFormer(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-2 * inUseFor)
	files := map[string]bool{"holder-000000000000": false, ".holder-123": false, "holder-new": true, "other": true}
	for name := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "holder-new" {
			continue
		}
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	path, err := Install(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", name, err == nil, want)
		}
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}
