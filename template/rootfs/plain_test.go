package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/roottest"
)

// The files of a plain root filesystem have the ids inside the VPS on disk, and those of
// the host where it is mounted, in both directions.
func TestPlainHasShiftedIDs(t *testing.T) {
	roottest.NeedRoot(t)
	for _, c := range []struct {
		name        string
		first, size uint32
	}{{"ids of its own", 700000, 65536}, {"without a user namespace", 0, 0}} {
		t.Run(c.name, func(t *testing.T) {
			top := t.TempDir()
			r := Rootfs{Tree: "tree", Dir: filepath.Join(top, "fs"), Target: filepath.Join(top, "root"), Scratch: filepath.Join(top, "lower"), First: c.first, Size: c.size}
			tree := r.Own().Dir
			roottest.Must(t, os.MkdirAll(filepath.Join(tree, "dir"), 0o755))
			write(t, filepath.Join(tree, "dir/file"), "text", 7)
			write(t, filepath.Join(tree, "program"), "text", 0)
			mounted(t, r, func(root string) {
				if got := owner(t, filepath.Join(root, "dir/file")); got != c.first+7 {
					t.Errorf("a file of user 7 has the owner %d", got)
				}
				roottest.Must(t, os.Lchown(filepath.Join(root, "dir/file"), int(c.first)+1000, int(c.first)))
				// Revision 3, with the root of the VPS.
				capability := []byte{0, 0, 0, 3, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(c.first), byte(c.first >> 8), byte(c.first >> 16), 0}
				roottest.Must(t, unix.Setxattr(filepath.Join(root, "program"), "security.capability", capability, 0))
				var st unix.Statfs_t
				roottest.Must(t, unix.Statfs(root, &st))
				if nodev := st.Flags&unix.ST_NODEV != 0; nodev != (c.size > 0) {
					t.Errorf("nodev is %v", nodev)
				}
			})
			if got := owner(t, filepath.Join(tree, "dir/file")); got != 1000 {
				t.Errorf("on disk it has the owner %d", got)
			}
			if c := roottest.Xattrs(t, filepath.Join(tree, "program"))["security.capability"]; len(c) == 0 || len(c) == 24 && c[20:] != "\x00\x00\x00\x00" {
				t.Errorf("on disk the capability is %q", c)
			}
		})
	}
}

func TestRemoveOthers(t *testing.T) {
	for _, c := range []struct{ tree, want string }{{"", "kept upper work "}, {"tree", "kept tree "}, {"tree2", "kept tree2 "}} {
		r := Rootfs{Dir: t.TempDir(), Tree: c.tree}
		for _, name := range []string{"upper", "work", "upper.new", "tree", "tree2", "kept"} {
			roottest.Must(t, os.MkdirAll(filepath.Join(r.Dir, name, "x"), 0o755))
		}
		roottest.Must(t, r.RemoveOthers(t.Context()))
		roottest.Must(t, r.RemoveOthers(t.Context()))
		got := ""
		entries, _ := os.ReadDir(r.Dir)
		for _, e := range entries {
			got += e.Name() + " "
		}
		if got != c.want {
			t.Errorf("with the tree %q: %s", c.tree, got)
		}
	}
}
