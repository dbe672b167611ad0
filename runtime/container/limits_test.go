package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
)

// A limit below the memory in use is refused with the amount, in the cgroup tree
// of each version. A host without the controller refuses nothing.
func TestMakeRoom(t *testing.T) {
	for file, controller := range map[string]string{"memory.current": "", "memory.usage_in_bytes": "memory"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, file), []byte("8388608\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		dirs := map[string]string{controller: dir}
		if err := makeRoom(dirs, 8<<20); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		err := makeRoom(dirs, 4<<20)
		if !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "8.0 MiB of memory are in use") || !strings.Contains(err.Error(), "cannot be 4.0 MiB") {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, dirs := range []map[string]string{nil, {"": t.TempDir()}} {
		if err := makeRoom(dirs, 1); err != nil {
			t.Errorf("%v: %v", dirs, err)
		}
	}
}
