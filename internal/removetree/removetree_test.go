package removetree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// tree creates a tree with files, links that lead out of it and an empty
// directory. It returns the tree, and a file outside to which a link leads.
func tree(t *testing.T) (top, outside string) {
	t.Helper()
	dir := t.TempDir()
	top, outside = filepath.Join(dir, "top"), filepath.Join(dir, "outside", "kept")
	for _, d := range []string{filepath.Join(top, "a", "b"), filepath.Join(top, "empty"), filepath.Dir(outside)} {
		must(t, os.MkdirAll(d, 0o700))
	}
	for _, f := range []string{outside, filepath.Join(top, "settings"), filepath.Join(top, "a", "b", "file")} {
		must(t, os.WriteFile(f, nil, 0o600))
	}
	must(t, os.Symlink(filepath.Dir(outside), filepath.Join(top, "a", "link")))
	must(t, os.Symlink("nowhere", filepath.Join(top, "broken")))
	return top, outside
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func TestRemove(t *testing.T) {
	ctx := context.Background()
	top, outside := tree(t)
	for range 2 { // the second call is a no-op
		must(t, Remove(ctx, top, ""))
		if exists(top) || !exists(outside) {
			t.Fatalf("the tree exists: %v, the file outside exists: %v", exists(top), exists(outside))
		}
	}
	must(t, Remove(ctx, filepath.Join(top, "missing", "file"), ""))
	link := filepath.Join(filepath.Dir(top), "link")
	must(t, os.Symlink(filepath.Dir(outside), link))
	must(t, Remove(ctx, link, ""))
	if exists(link) || !exists(outside) {
		t.Errorf("the link exists: %v, the file behind it exists: %v", exists(link), exists(outside))
	}
}

func TestAt(t *testing.T) {
	top, outside := tree(t)
	parent, err := unix.Open(filepath.Dir(top), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(parent)
	for range 2 {
		must(t, At(context.Background(), parent, "top"))
		if exists(top) || !exists(outside) {
			t.Fatalf("the tree exists: %v, the file outside exists: %v", exists(top), exists(outside))
		}
	}
}

// A countdown is a context that ends after n questions.
type countdown struct {
	context.Context
	n int
}

func (c *countdown) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestTheLastEntryIsRemovedLast(t *testing.T) {
	for n := 0; ; n++ {
		top, _ := tree(t)
		err := Remove(&countdown{context.Background(), n}, top, "settings")
		if err == nil {
			if exists(top) {
				t.Error("the tree exists")
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		left, err := os.ReadDir(top)
		must(t, err)
		if !exists(filepath.Join(top, "settings")) && len(left) > 0 {
			t.Fatalf("after %d steps settings is missing and %v is there", n, left)
		}
		must(t, Remove(context.Background(), top, "settings"))
	}
}

// A VPS can nest directories deeper than the length of a path, and deeper than
// the number of files that a process may open.
func TestDeepTrees(t *testing.T) {
	top, _ := tree(t)
	fd, err := unix.Open(top, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	for range 3000 {
		must(t, unix.Mkdirat(fd, "deep", 0o700))
		sub, err := unix.Openat(fd, "deep", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		unix.Close(fd)
		fd = sub
	}
	unix.Close(fd)
	must(t, Remove(context.Background(), top, ""))
	if exists(top) {
		t.Error("the tree exists")
	}
}

func TestErrorsNameThePath(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may remove everything")
	}
	top, _ := tree(t)
	closed := filepath.Join(top, "a")
	must(t, os.Chmod(closed, 0o500))
	defer os.Chmod(closed, 0o700)
	var failed *fs.PathError
	if err := Remove(context.Background(), top, ""); !errors.As(err, &failed) || !errors.Is(err, fs.ErrPermission) || filepath.Dir(failed.Path) != closed {
		t.Errorf("error %v", err)
	}
}
