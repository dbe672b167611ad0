package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAbove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: changes owners")
	}
	r := Rootfs{Dir: t.TempDir(), First: 1 << 20, Size: 1 << 18}
	file := filepath.Join(r.Upper(), "home", "f")
	if err := errors.Join(r.Make(), os.Mkdir(filepath.Dir(file), 0o755), os.Lchown(filepath.Dir(file), 1<<20+7, 1<<20),
		os.Symlink("/etc/shadow", file), os.Lchown(file, 1<<20, 1<<20+70000)); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[uint32]string{1 << 16: "/home/f", 1 << 17: ""} {
		if got, err := r.Above(size); got != want || err != nil {
			t.Errorf("%d ids: %q, %v", size, got, err)
		}
	}
}
