package tree

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/rootfs"
	"croft/template/roottest"
)

// A reinstallation has a VPS with an old template, and the same VPS with a new one.
type reinstallation struct {
	layers
	from, to rootfs.Rootfs
}

// aReinstallation makes a VPS whose files are in its upper directory, in a frozen layer with
// other ids, and in its template.
func aReinstallation(t *testing.T) reinstallation {
	t.Helper()
	l := newLayers(t)
	l.script(t, `
file base/home/from-template
file base/home/gone
file base/etc/conf
dir base/srv
file lower/home/frozen/file
link lower/home/frozen/linked lower/home/frozen/file
file fs/upper/home/web/file
link fs/upper/home/web/linked fs/upper/home/web/file
whiteout fs/upper/home/gone
file fs/upper/opt/only/here/file
file fs/upper/etc/conf
data fs/upper/var/lib/docker
whiteout fs/upper/var/lib/docker/overlay2/gone
file fs/upper/var/lib/docker/volumes/one
file new/home/of-the-new-one
file new/etc/conf
file new/etc/other
file new/var/lib/docker/of-the-new-one
file new/lib
`)
	roottest.Must(t, os.Mkdir(filepath.Join(l.top, "fs/work"), 0o755))
	roottest.Must(t, os.Symlink("srv", filepath.Join(l.top, "fs/upper/linked")))
	roottest.Must(t, os.MkdirAll(filepath.Join(l.top, "fs/upper/lib/below"), 0o755))
	roottest.Must(t, os.Chmod(filepath.Join(l.top, "new/etc"), 0o711))
	roottest.Must(t, os.Chmod(filepath.Join(l.top, "fs/upper/opt/only"), 0o701))
	give := func(dir string, first int) {
		roottest.Must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				err = os.Lchown(path, first+7, first+8)
			}
			return err
		}))
	}
	give(filepath.Join(l.top, "fs/upper"), 700000)
	give(l.lower, 900000)
	from := rootfs.Rootfs{Dir: filepath.Join(l.top, "fs"), First: 700000, Size: 65536, Layers: []string{l.base},
		Frozen: []rootfs.Frozen{{Dir: l.lower, First: 900000, Size: 65536}}}
	to := rootfs.Rootfs{Dir: filepath.Join(l.top, "fresh"), First: from.First, Size: from.Size, Layers: []string{filepath.Join(l.top, "new")}}
	roottest.Must(t, os.Mkdir(to.Dir, 0o755))
	return reinstallation{l, from, to}
}

// seen returns the files that r shows at each of paths.
func (i reinstallation) seen(t *testing.T, r rootfs.Rootfs, paths ...string) string {
	t.Helper()
	var all strings.Builder
	roottest.Must(t, rootfs.WithViews(filepath.Join(i.top, "view"), [][]rootfs.Frozen{r.Stack()}, func(roots []string) error {
		for _, p := range paths {
			all.WriteString(p + "\n" + roottest.Exact(t, filepath.Join(roots[0], p), func(name string) bool { return !strings.HasPrefix(name, "trusted.") }))
		}
		return nil
	}))
	return all.String()
}

func TestKeepOnOverlay(t *testing.T) {
	roottest.NeedRoot(t)
	i := aReinstallation(t)
	kept := []string{"/home", "/opt/only/here", "/etc/conf", "/linked", "/var/lib/docker"}
	want := i.seen(t, i.from, "home", "opt/only/here")
	roottest.Must(t, Keep(t.Context(), filepath.Join(i.top, "view"), i.from, i.to, kept, func(int64) {}))
	roottest.SameLines(t, "what is kept", i.seen(t, i.to, "home", "opt/only/here"), want)
	upper := i.to.Upper()
	for name, want := range map[string]string{"": "700000 40755", "home": "700007 40755", "opt/only": "700007 40701", "etc": "700000 40711", "etc/conf": "700007 100644", "linked": "700007 120777", "home/web/linked": "700007 100644"} {
		var st unix.Stat_t
		roottest.Must(t, unix.Lstat(filepath.Join(upper, name), &st))
		if got := modeOf(st); got != want {
			t.Errorf("/%s: %s, want %s", name, got, want)
		}
	}
	if text, err := os.ReadFile(filepath.Join(upper, "etc/conf")); err != nil || string(text) != "fs/upper/etc/conf" {
		t.Errorf("etc/conf: %q, %v", text, err)
	}
	if st := statOf(t, filepath.Join(upper, "home/web/file")); st.Nlink != 2 {
		t.Errorf("a hard link is lost: %d", st.Nlink)
	}
	docker := filepath.Join(upper, "var/lib/docker")
	gone := statOf(t, filepath.Join(docker, "overlay2/gone"))
	if !layer.IsWhiteout(&gone) {
		t.Error("a whiteout of an overlay inside is lost")
	}
	if got := roottest.Xattrs(t, docker); got[xattrData] != "y" || got[layer.XattrOpaque] != "y" {
		t.Errorf("a data directory has the marks %v", got)
	}
	if _, err := os.Lstat(filepath.Join(docker, "of-the-new-one")); err == nil {
		t.Error("a kept data directory has files of the new template")
	}
	entries, err := os.ReadDir(upper)
	if err != nil || len(entries) != 5 {
		t.Errorf("it keeps %v, %v", entries, err)
	}
}

// A directory above a data directory, and one in it, are kept with the marks that the next
// start needs.
func TestKeepAroundDataDirectories(t *testing.T) {
	roottest.NeedRoot(t)
	for path, has := range map[string]bool{"/var": false, "/var/lib": false, "/var/lib/docker/overlay2": true} {
		i := aReinstallation(t)
		roottest.Must(t, Keep(t.Context(), filepath.Join(i.top, "view"), i.from, i.to, []string{path}, nil))
		docker := filepath.Join(i.to.Upper(), "var/lib/docker")
		if got := roottest.Xattrs(t, docker); got[xattrData] != "y" || got[layer.XattrOpaque] != "y" {
			t.Errorf("%s: the marks are %v", path, got)
		}
		gone := statOf(t, filepath.Join(docker, "overlay2/gone"))
		if !layer.IsWhiteout(&gone) {
			t.Errorf("%s: a whiteout of an overlay inside is lost", path)
		}
		if _, err := os.Lstat(filepath.Join(docker, "of-the-new-one")); (err == nil) != has {
			t.Errorf("%s: a file of the new template: %v", path, err)
		}
	}
}

func TestKeepOnPlain(t *testing.T) {
	roottest.NeedRoot(t)
	i := aReinstallation(t)
	from, to, view := i.from, i.to, filepath.Join(i.top, "view")
	from.Tree, from.Frozen, to.Tree = "tree", nil, "tree2"
	roottest.Must(t, ToPlain(t.Context(), view, i.from, from, nil))
	roottest.Must(t, Fill(t.Context(), view, to.Below(), to.Own().Dir, nil))
	was := statOf(t, filepath.Join(to.Own().Dir, "etc"))
	exact := func(r rootfs.Rootfs) (all string) {
		for _, p := range []string{"home", "var", "opt/only/here"} {
			all += p + "\n" + roottest.Exact(t, filepath.Join(r.Own().Dir, p), nil)
		}
		return all
	}
	want := exact(from)
	roottest.Must(t, Keep(t.Context(), view, from, to, []string{"/home", "/var", "/opt/only/here", "/etc/conf"}, nil))
	roottest.SameLines(t, "what is kept", exact(to), want)
	if now := statOf(t, filepath.Join(to.Own().Dir, "etc")); now.Mtim != was.Mtim || now.Mode != was.Mode {
		t.Errorf("a directory above has changed: %+v, %+v", was, now)
	}
	for name, want := range map[string]string{"etc/conf": "fs/upper/etc/conf", "etc/other": "new/etc/other"} {
		if text, err := os.ReadFile(filepath.Join(to.Own().Dir, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestKeepRefuses(t *testing.T) {
	roottest.NeedRoot(t)
	i := aReinstallation(t)
	for path, kind := range map[string]fail.Kind{"/nowhere": fail.NotFound, "/linked/file": fail.Usage, "/etc/conf/below": fail.Usage, "/lib/below": fail.State} {
		if err := Keep(t.Context(), filepath.Join(i.top, "view"), i.from, i.to, []string{path}, nil); fail.KindOf(err) != kind || err == nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := CheckKept(i.from.Upper(), []string{"/home", "/linked"}); err != nil {
		t.Error(err)
	}
	if err := CheckKept(i.from.Upper(), []string{"/home", "/home/none"}); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

func modeOf(st unix.Stat_t) string { return fmt.Sprintf("%d %o", st.Uid, st.Mode) }
