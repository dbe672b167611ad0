package diskuse

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func use(t *testing.T, dir string) int64 {
	t.Helper()
	n, err := Of(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOf(t *testing.T) {
	dir := t.TempDir()
	if n := use(t, filepath.Join(dir, "missing")); n != 0 {
		t.Errorf("a missing directory has %d", n)
	}
	sub := filepath.Join(dir, "sub", "deep")
	const size = 1 << 20
	if err := errors.Join(os.MkdirAll(sub, 0o700), os.WriteFile(filepath.Join(sub, "f"), bytes.Repeat([]byte("x"), size), 0o600)); err != nil {
		t.Fatal(err)
	}
	before := use(t, dir)
	if before < size {
		t.Errorf("%d is less than the file", before)
	}
	outside := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(outside, "f"), bytes.Repeat([]byte("x"), size), 0o600),
		os.Symlink(outside, filepath.Join(sub, "link")),
		os.Link(filepath.Join(sub, "f"), filepath.Join(sub, "again")),
		os.WriteFile(filepath.Join(sub, "sparse"), nil, 0o600),
		os.Truncate(filepath.Join(sub, "sparse"), 1<<30),
	); err != nil {
		t.Fatal(err)
	}
	if after := use(t, dir); after-before > size/2 {
		t.Errorf("links and holes count: %d, and before %d", after, before)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Of(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A guest can nest directories deeper than a path can be long.
func TestDeep(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { root.Close() }()
	name := strings.Repeat("d", 200)
	for range 40 {
		if err := root.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := root.OpenRoot(name)
		if err != nil {
			t.Fatal(err)
		}
		root.Close()
		root = next
	}
	if n := use(t, dir); n < 0 {
		t.Error(n)
	}
}
