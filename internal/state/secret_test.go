package state

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPutSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "credentials")
	for _, value := range []string{"one", "two"} {
		if err := PutSecret(dir, "db:A", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "db:A")); err != nil || string(got) != value {
			t.Errorf("%q, %v", got, err)
		}
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "db:A"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}
