package tree

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/layer"
	"croft/template/rootfs"
	"croft/template/roottest"
)

// addition are own files and a layer that is put above them.
func addition(t *testing.T, l layers) {
	t.Helper()
	script := `set -e
		cd "$1/lower"; mkdir -p d/gone d/replaced e/f var/lib/docker/o; for f in d/a d/b d/gone/x d/replaced/x e/f/x e/g var/lib/docker/o/x var/lib/docker/o/y; do echo own >$f; done
		ln d/a d/linked; ln -s a d/sym; mknod var/lib/docker/white c 0 0; chmod 2750 e
		cd "$1/upper"; mkdir -p d/new d/replaced e var/lib/docker/o; echo changed >d/b; echo new >d/new/x; mknod d/gone c 0 0; mknod e/g c 0 0; echo only >d/replaced/only
		mknod var/lib/docker/o/x c 0 0; echo changed >var/lib/docker/o/z; chmod 711 d; touch -d 2001-01-01 d e
		cd "$1/base"; mkdir -p d/gone e; echo base >d/base; echo base >d/gone/base; echo base >e/h; echo base >e/g`
	if out, err := exec.Command("sh", "-c", script, "sh", l.top).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	roottest.Must(t, unix.Setxattr(filepath.Join(l.upper, "d/replaced"), layer.XattrOpaque, []byte("y"), 0))
}

// The own files of an overlay show together with its template what they and the new layer
// have shown, and what was removed from a data directory leaves no whiteout there.
func TestAddToOverlay(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	addition(t, l)
	const docker = "var/lib/docker"
	roottest.Must(t, unix.Setxattr(filepath.Join(l.lower, docker), xattrData, []byte("y"), 0))
	roottest.Must(t, os.Mkdir(filepath.Join(l.top, "fs"), 0o755))
	roottest.Must(t, os.Rename(l.lower, filepath.Join(l.top, "fs/upper")))
	r := rootfs.Rootfs{Dir: filepath.Join(l.top, "fs"), Layers: []string{l.base}, Frozen: []rootfs.Frozen{{Dir: l.upper}}}
	want := l.view(t, l.upper, r.Upper(), l.base)
	roottest.Must(t, Add(t.Context(), r))
	got := l.view(t, r.Upper(), l.base)
	roottest.SameLines(t, "the tree", ofOverlay(got), ofOverlay(want))
	at := filepath.Join(r.Upper(), docker)
	if roottest.Xattrs(t, at)[xattrData] != "y" {
		t.Error("the data directory is not marked")
	}
	for name, want := range map[string]bool{"white": true, "o/x": false, "o/y": true, "o/z": true} {
		if _, err := os.Lstat(filepath.Join(at, name)); (err == nil) != want {
			t.Errorf("%s in the data directory: %v", name, err)
		}
	}
	if left, err := os.ReadDir(r.Dir); err != nil || len(left) != 1 {
		t.Errorf("there is %v, %v", left, err)
	}
}

// ofOverlay returns the lines of files that a VPS sees through the overlay.
func ofOverlay(tree string) string {
	var kept strings.Builder
	for line := range strings.Lines(tree) {
		if !strings.Contains(line, "docker") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// A plain tree has no whiteouts and marks of the new layer, and keeps those of an overlay
// inside.
func TestAddToPlain(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	addition(t, l)
	tree := filepath.Join(l.top, "fs/tree")
	roottest.Must(t, os.Mkdir(filepath.Dir(tree), 0o755))
	roottest.Must(t, os.Rename(l.lower, tree))
	roottest.Must(t, os.RemoveAll(l.base))
	roottest.Must(t, os.Mkdir(l.base, 0o755))
	want := l.view(t, l.upper, tree, l.base)
	roottest.Must(t, Add(t.Context(), rootfs.Rootfs{Dir: filepath.Dir(tree), Tree: "tree", First: 900000, Size: 65536, Frozen: []rootfs.Frozen{{Dir: l.upper, Size: 65536}}}))
	white := filepath.Join(tree, "var/lib/docker/white")
	var st unix.Stat_t
	if err := unix.Lstat(white, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		t.Errorf("a whiteout inside: %v", err)
	}
	roottest.Must(t, os.Remove(white))
	marked := roottest.Exact(t, tree, nil)
	roottest.SameLines(t, "the tree", withoutTimes(marked), withoutTimes(want))
	if strings.Contains(marked, "overlay") || strings.Contains(marked, "croft") {
		t.Errorf("it has marks of a layer: %s", marked)
	}
	at, err := os.Lstat(filepath.Join(tree, "e"))
	if err != nil || at.ModTime().Year() != 2001 {
		t.Errorf("a directory from which a file was removed has the time %v, %v", at.ModTime(), err)
	}
}

// A layer with a renamed directory cannot be added.
func TestAddRefusesRedirect(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	tree := filepath.Join(l.top, "fs/tree")
	roottest.Must(t, os.MkdirAll(tree, 0o755))
	roottest.Must(t, os.Mkdir(filepath.Join(l.upper, "d"), 0o755))
	roottest.Must(t, unix.Setxattr(filepath.Join(l.upper, "d"), "trusted.overlay.redirect", []byte("/e"), 0))
	err := Add(t.Context(), rootfs.Rootfs{Dir: filepath.Dir(tree), Tree: "tree", Frozen: []rootfs.Frozen{{Dir: l.upper}}})
	if !errors.Is(err, ErrRedirect) {
		t.Error(err)
	}
}
