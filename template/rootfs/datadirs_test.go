package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/layer"
	"croft/template/roottest"
)

// dataDirNames mounts r and returns its data directories as text.
func dataDirNames(t *testing.T, r Rootfs) string {
	t.Helper()
	if err := r.Mount(); err != nil {
		t.Fatal(err)
	}
	defer func() { roottest.Must(t, r.Unmount()) }()
	dirs, err := r.DataDirs()
	roottest.Must(t, err)
	var names []string
	for _, d := range dirs {
		names = append(names, d.Path)
		roottest.Must(t, d.Tree.Close())
	}
	return strings.Join(names, " ")
}

// The data directory of each VPS gets the files that a container engine has in
// the template, with the VPS's ids, including the engine's own whiteouts.
func TestDataDirsAreFilled(t *testing.T) {
	top := t.TempDir()
	low := layers(t, top, 2)
	at := func(layer int, name string) string { return filepath.Join(low[layer], "var/lib/docker", name) }
	for i := range low {
		roottest.Must(t, os.MkdirAll(at(i, "overlay2/diff"), 0o755))
	}
	roottest.Must(t, os.MkdirAll(filepath.Join(low[1], "var/lib/dpkg"), 0o755))
	roottest.Must(t, os.Chmod(at(0, ""), 0o710))
	roottest.Must(t, os.WriteFile(at(0, "overlay2/file"), []byte("upper"), 0o640))
	roottest.Must(t, os.Link(at(0, "overlay2/file"), at(0, "overlay2/linked")))
	roottest.Must(t, os.Symlink("file", at(0, "overlay2/soft")))
	roottest.Must(t, os.Chown(at(0, "overlay2/file"), 5, 6))
	roottest.Must(t, unix.Mknod(at(0, "overlay2/diff/gone"), unix.S_IFCHR, 0))
	roottest.Must(t, unix.Mknod(at(0, "overlay2/removed"), unix.S_IFCHR, 0))
	roottest.Must(t, os.WriteFile(at(1, "overlay2/removed"), nil, 0o644))
	roottest.Must(t, os.WriteFile(at(1, "overlay2/lower"), nil, 0o644))
	roottest.Must(t, unix.Setxattr(at(0, "overlay2/diff"), "user.overlay.opaque", []byte("y"), 0))

	roottest.InMountNamespace(t, func() {
		r := Rootfs{Layers: low, Dir: filepath.Join(top, "fs"), Target: filepath.Join(top, "root"), Scratch: filepath.Join(top, "lower"), First: 700000, Size: 65536}
		roottest.Must(t, r.Make())
		const all = "/var/lib/docker /var/lib/containerd /var/lib/containers"
		for range 2 { // a second start is the same
			if got := dataDirNames(t, r); got != all {
				t.Fatalf("data directories: %s", got)
			}
		}
		in := func(name string) string { return filepath.Join(r.Upper(), "var/lib/docker", name) }
		var file, linked, gone unix.Stat_t
		roottest.Must(t, unix.Lstat(in("overlay2/file"), &file))
		roottest.Must(t, unix.Lstat(in("overlay2/linked"), &linked))
		roottest.Must(t, unix.Lstat(in("overlay2/diff/gone"), &gone))
		if file.Ino != linked.Ino || file.Uid != 700005 || file.Gid != 700006 || file.Mode&0o777 != 0o640 || !layer.IsWhiteout(&gone) {
			t.Errorf("file %+v, linked %+v, gone %+v", file, linked, gone)
		}
		if target, err := os.Readlink(in("overlay2/soft")); err != nil || target != "file" {
			t.Errorf("link to %s, %v", target, err)
		}
		if _, err := os.Lstat(in("overlay2/removed")); !os.IsNotExist(err) {
			t.Errorf("what a layer takes away is there: %v", err)
		}
		if _, err := os.Lstat(in("overlay2/lower")); err != nil {
			t.Error(err)
		}
		value := make([]byte, 8)
		if n, err := unix.Getxattr(in("overlay2/diff"), "user.overlay.opaque", value); err != nil || string(value[:n]) != "y" {
			t.Errorf("attribute %q, %v", value[:n], err)
		}
		if got := roottest.Owner(t, in("")); got != "700000:700000" {
			t.Errorf("it belongs to %s", got)
		}
		// A directory that is marked as filling is filled again.
		roottest.Must(t, os.WriteFile(in("half"), nil, 0o600))
		roottest.Must(t, unix.Setxattr(in(""), xattrData, []byte(dataFilling), 0))
		if got := dataDirNames(t, r); got != all {
			t.Errorf("data directories: %s", got)
		}
		if _, err := os.Lstat(in("half")); !os.IsNotExist(err) {
			t.Errorf("half a copy is left: %v", err)
		}
		roottest.Must(t, os.Remove(in("overlay2/file"))) // the VPS's own from now on
		dataDirNames(t, r)
		if _, err := os.Lstat(in("overlay2/file")); !os.IsNotExist(err) {
			t.Errorf("what the VPS removed is back: %v", err)
		}
	})
}

// A directory with files, and a file that is not a directory, are left unchanged.
func TestDataDirsLeaveOthersAlone(t *testing.T) {
	top := t.TempDir()
	low := layers(t, top, 1)
	roottest.Must(t, os.MkdirAll(filepath.Join(low[0], "var/lib"), 0o755))
	roottest.Must(t, os.MkdirAll(filepath.Join(low[0], "var/lib/dpkg"), 0o755))
	roottest.Must(t, os.MkdirAll(filepath.Join(low[0], "srv/docker"), 0o755))
	roottest.Must(t, os.Symlink("/srv/docker", filepath.Join(low[0], "var/lib/docker")))
	roottest.InMountNamespace(t, func() {
		r := Rootfs{Layers: low, Dir: filepath.Join(top, "fs"), Target: filepath.Join(top, "root"), Scratch: filepath.Join(top, "lower"), First: 700000, Size: 65536}
		roottest.Must(t, r.Make())
		own := filepath.Join(r.Upper(), "var/lib/containers")
		roottest.Must(t, os.MkdirAll(own, 0o755))
		roottest.Must(t, os.WriteFile(filepath.Join(own, "old"), nil, 0o644))
		if got := dataDirNames(t, r); got != "/var/lib/containerd" {
			t.Errorf("data directories: %s", got)
		}
		roottest.Must(t, os.RemoveAll(filepath.Join(r.Upper(), "var/lib/containerd")))
		roottest.Must(t, os.Symlink("/etc", filepath.Join(r.Upper(), "var/lib/containerd")))
		if got := dataDirNames(t, r); got != "" {
			t.Errorf("a link of the VPS's is followed: %s", got)
		}
		roottest.Must(t, os.RemoveAll(filepath.Join(r.Upper(), "var")))
		roottest.Must(t, os.Symlink("/srv", filepath.Join(r.Upper(), "var")))
		if got := dataDirNames(t, r); got != "" {
			t.Errorf("a link of the VPS's is followed: %s", got)
		}
		if _, err := os.Lstat(filepath.Join(low[0], "srv/lib")); !os.IsNotExist(err) {
			t.Error("something was made behind a link")
		}
	})
	none := layers(t, t.TempDir(), 1)
	roottest.Must(t, os.MkdirAll(filepath.Join(none[0], "var/lib/misc"), 0o755))
	roottest.InMountNamespace(t, func() {
		r := Rootfs{Layers: none, Dir: filepath.Join(top, "fs2"), Target: filepath.Join(top, "root2"), Scratch: filepath.Join(top, "lower2"), First: 700000, Size: 65536}
		roottest.Must(t, r.Make())
		if got := dataDirNames(t, r); got != "" {
			t.Errorf("data directories without packages: %s", got)
		}
	})
}
