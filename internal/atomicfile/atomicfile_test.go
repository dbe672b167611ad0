package atomicfile

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestReplace(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	for name, replace := range map[string]func(string, os.FileMode, []byte) error{"locked": Replace, "shared": ReplaceShared} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		for _, text := range []string{"one", "", "two"} {
			if err := replace(path, 0o644, []byte(text)); err != nil {
				t.Fatal(name, err)
			}
			got, err := os.ReadFile(path)
			info, _ := os.Stat(path)
			if err != nil || string(got) != text || info.Mode() != 0o644 {
				t.Errorf("%s: %q, %v, %v", name, got, info.Mode(), err)
			}
		}
		if all, _ := os.ReadDir(dir); len(all) != 1 {
			t.Errorf("%s: left %v", name, all)
		}
		if err := replace(filepath.Join(dir, "no", "file"), 0o600, nil); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
		// A directory in its place stays, and nothing is left beside it.
		if err := os.MkdirAll(filepath.Join(dir, "dir", "x"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := replace(filepath.Join(dir, "dir"), 0o600, nil); err == nil {
			t.Errorf("%s: replaced a directory", name)
		}
		if all, _ := os.ReadDir(dir); len(all) != 2 {
			t.Errorf("%s: left %v", name, all)
		}
	}
}

// What a killed writer has left is used up, and a link in its place is not
// followed.
func TestReplaceLeftover(t *testing.T) {
	dir := t.TempDir()
	path, tmp := filepath.Join(dir, "file"), filepath.Join(dir, ".file.new")
	if err := os.WriteFile(tmp, []byte(strings.Repeat("x", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, 0o600, []byte("short")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "short" {
		t.Errorf("%q", got)
	}
	if err := os.Symlink(path, tmp); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, 0o600, []byte("evil")); err == nil {
		t.Error("followed a link")
	}
	if got, _ := os.ReadFile(path); string(got) != "short" {
		t.Errorf("%q", got)
	}
}

// Writers at the same time leave one whole file.
func TestReplaceSharedByMany(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	var all sync.WaitGroup
	for _, letter := range "abcdefgh" {
		all.Go(func() {
			for range 20 {
				if err := ReplaceShared(path, 0o755, []byte(strings.Repeat(string(letter), 1<<16))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got, err := os.ReadFile(path)
	if err != nil || len(got) != 1<<16 || strings.Trim(string(got), string(got[0])) != "" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}
