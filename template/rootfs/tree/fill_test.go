package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/rootfs"
	"croft/template/roottest"
)

// A tree is filled with what the layers show together, exactly.
func TestFill(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	everything(t, l.base)
	l.script(t, "file upper/added\nwhiteout upper/capable\ndir upper/dir")
	at, to := filepath.Join(l.top, "view"), filepath.Join(l.top, "fs", "tree")
	all := stack(l.upper, l.base)
	roottest.Must(t, Fill(t.Context(), at, all, to, func(int64) {}))
	err := rootfs.WithViews(at, [][]rootfs.Frozen{all}, func(roots []string) error {
		sameTrees(t, roots[0], to)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for name, want := range map[string]bool{"added": true, "capable": false, "dir/file": true, "dir/gone": false} {
		if _, err := os.Lstat(filepath.Join(to, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Fill(t.Context(), at, all, to, nil); err == nil {
		t.Error("a tree with files is filled")
	}
}

func TestFillIsCancelled(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	everything(t, l.base)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Fill(ctx, filepath.Join(l.top, "view"), stack(l.base), filepath.Join(l.top, "tree"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// The file that has the content of a file of an overlay is found in its layers.
func TestOrigin(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	l.script(t, "file base/a\nfile base/b\nfile upper/a\nwhiteout upper/gone")
	err := rootfs.WithViews(filepath.Join(l.top, "view"), [][]rootfs.Frozen{stack(l.upper, l.base)}, func(roots []string) error {
		c := startCopy(t, roots[0], filepath.Join(l.top, "copy"))
		for _, dir := range []string{l.upper, l.base} {
			root, err := openRoot(dir)
			if err != nil {
				return err
			}
			c.origins = append(c.origins, root)
		}
		d := &dirCopy{pass: &pass{LiveCopy: c}, known: c.top}
		for name, dir := range map[string]string{"a": l.upper, "b": l.base} {
			st := statOf(t, filepath.Join(roots[0], name))
			fd := d.origin(name, &st)
			if fd < 0 {
				t.Errorf("%s is not found", name)
				continue
			}
			defer os.NewFile(uintptr(fd), name).Close()
			if found := statOf(t, handle(fd)); found.Ino != statOf(t, filepath.Join(dir, name)).Ino {
				t.Errorf("%s is found elsewhere", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func statOf(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	roottest.Must(t, unix.Stat(path, &st))
	return st
}
