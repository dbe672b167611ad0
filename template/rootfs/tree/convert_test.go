package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/rootfs"
	"croft/template/roottest"
)

// A plain tree becomes an overlay and a plain tree again, and has the same files each
// time, with those that only an overlay inside has.
func TestConvert(t *testing.T) {
	roottest.NeedRoot(t)
	top := t.TempDir()
	layerDir, at := filepath.Join(top, "layer"), filepath.Join(top, "view")
	roottest.Must(t, os.MkdirAll(filepath.Join(layerDir, "only-below"), 0o755))
	roottest.Must(t, os.MkdirAll(filepath.Join(layerDir, "dir/only-below"), 0o755))
	roottest.Must(t, os.WriteFile(filepath.Join(layerDir, "file-below"), nil, 0o644))
	overlay := rootfs.Rootfs{Layers: []string{layerDir}, Dir: filepath.Join(top, "fs"), First: 700000, Size: 65536}
	plain, again := overlay, overlay
	plain.Tree, again.Tree = "tree", "tree2"
	tree := plain.Own().Dir
	roottest.Must(t, os.MkdirAll(filepath.Join(tree, "var/lib/docker"), 0o755))
	roottest.Must(t, os.Mkdir(filepath.Join(tree, "dir"), 0o711))
	roottest.Must(t, os.WriteFile(filepath.Join(tree, "dir/file"), []byte("text"), 0o640))
	roottest.Must(t, os.Link(filepath.Join(tree, "dir/file"), filepath.Join(tree, "linked")))
	roottest.Must(t, os.Lchown(filepath.Join(tree, "linked"), 7, 8))
	roottest.Must(t, os.Symlink("/nowhere", filepath.Join(tree, "dir/link")))
	roottest.Must(t, unix.Mknod(filepath.Join(tree, "var/lib/docker/gone"), unix.S_IFCHR, 0))
	exact := func(dir string) string {
		return roottest.Exact(t, dir, func(name string) bool { return !strings.HasPrefix(name, "trusted.") })
	}
	want := exact(tree)

	roottest.Must(t, overlay.MakeOver())
	roottest.Must(t, ToOverlay(t.Context(), at, plain, overlay, nil))
	var st unix.Stat_t
	roottest.Must(t, unix.Lstat(filepath.Join(overlay.Upper(), "dir/file"), &st))
	if st.Uid != 700007 || st.Nlink != 2 {
		t.Errorf("in the upper directory a file of user 7 has the owner %d and %d links", st.Uid, st.Nlink)
	}
	roottest.Must(t, ToPlain(t.Context(), at, overlay, again, nil))
	roottest.SameLines(t, "the tree", exact(again.Own().Dir), want)
	roottest.Must(t, os.RemoveAll(again.Own().Dir))
	frozen := overlay
	frozen.Frozen = []rootfs.Frozen{{Dir: filepath.Join(top, "frozen"), First: overlay.First, Size: overlay.Size}}
	roottest.Must(t, overlay.Freeze(frozen.Frozen[0].Dir))
	roottest.Must(t, ToPlain(t.Context(), at, frozen, again, nil))
	roottest.SameLines(t, "the tree of a frozen layer", exact(again.Own().Dir), want)

	roottest.Must(t, unix.Mknod(filepath.Join(tree, "dir/gone"), unix.S_IFCHR, 0))
	if err := ToOverlay(t.Context(), at, plain, overlay, nil); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "/dir/gone") {
		t.Errorf("with a whiteout of an overlay inside: %v", err)
	}
}
