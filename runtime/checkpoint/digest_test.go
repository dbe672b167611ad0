package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Each change of a file changes the digest, also one that keeps size and mtime.
func TestDigest(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "etc", "motd")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("one"), 0o644), os.Symlink("/nowhere", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	last := digest(t, dir)
	if got := digest(t, dir); got != last {
		t.Errorf("the same files: %s and %s", last, got)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func() error{
		"content": func() error {
			return errors.Join(os.WriteFile(file, []byte("two"), 0o644), os.Chtimes(file, info.ModTime(), info.ModTime()))
		},
		"mode":     func() error { return os.Chmod(file, 0o600) },
		"new file": func() error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) },
		"rename":   func() error { return os.Rename(filepath.Join(dir, "link"), filepath.Join(dir, "other")) },
	} {
		// The clock of the kernel's file times has ticks: repeat until the change shows.
		for tries := 0; ; tries++ {
			if err := change(); err != nil && tries == 0 {
				t.Fatalf("%s: %v", what, err)
			}
			if got := digest(t, dir); got != last {
				last = got
				break
			}
			if tries > 1_000_000 {
				t.Fatalf("%s does not show", what)
			}
		}
	}
	if _, err := Digest(filepath.Join(dir, "none")); err == nil {
		t.Error("a missing directory has a digest")
	}
}

func digest(t *testing.T, dir string) string {
	t.Helper()
	d, err := Digest(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
