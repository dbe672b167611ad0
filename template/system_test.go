package template

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/roottest"
)

// adoptedFiles imports y, gives the image a user, and returns the directory of its layer.
func adoptedFiles(t *testing.T, s *Store, y System) (Image, string) {
	t.Helper()
	var im Image
	y.Name = "adopted"
	u := use(&im, nil)
	roottest.Must(t, s.ImportSystem(t.Context(), y, u.Use, u.Used))
	if !im.Former || len(im.Layers) != 1 {
		t.Fatalf("the image is %+v", im)
	}
	return im, s.LayerDir(im.Layers[0])
}

func owned(h *tar.Header, uid, gid int) *tar.Header {
	h.Uid, h.Gid = uid, gid
	return h
}

// The capabilities of a file in a user namespace whose root follows (vfs_ns_cap_data).
const (
	xattrOfPing = "SCHILY.xattr.security.capability"
	capable     = "\x01\x00\x00\x03\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// Of an archive the image has the part with the files, with the ids that they have inside.
func TestImportPartOfAnArchive(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	ping := owned(roottest.File("backup/rootfs/bin/ping", "x"), 100000, 100000)
	ping.PAXRecords[xattrOfPing] = capable + "\xa0\x86\x01\x00"
	text := roottest.Archive(t,
		roottest.File("backup/index.yaml", "x"),
		owned(roottest.Dir("backup/rootfs/"), 100000, 100000),
		owned(roottest.Dir("backup/rootfs/etc/"), 100000, 100000),
		owned(roottest.File("backup/rootfs/etc/own", "x"), 100007, 100008),
		owned(roottest.Hardlink("backup/rootfs/etc/link", "backup/rootfs/etc/own"), 100007, 100008),
		owned(roottest.File("backup/rootfs/etc/strange", "x"), 99, 300000),
		owned(roottest.Symlink("backup/rootfs/etc/abs", "/etc/own"), 100000, 100000),
		owned(roottest.File("backup/rootfs/etc/skipped/conf", "x"), 100000, 100000),
		owned(roottest.Dir("backup/rootfs/bin/"), 100000, 100000),
		ping,
		roottest.File("backup/rootfs2/etc/other", "x"),
		roottest.File("backup/snapshots/one/rootfs/etc/other", "x"),
	)
	im, dir := adoptedFiles(t, s, System{
		Archive: bytes.NewReader(text), Part: layer.Part{Root: "backup/rootfs", Skip: []string{"etc/skipped"}, IDs: layer.IDs{First: 100000, Size: 65536}},
		Cmd: []string{"run"}, Env: []string{"A=b"}, User: "5",
	})
	if im.Cmd[0] != "run" || im.Env[0] != "A=b" || im.User != "5" {
		t.Errorf("the image is %+v", im)
	}
	for name, want := range map[string]string{"etc/own": "7:8", "etc/link": "7:8", "etc/strange": "65534:65534", "etc/abs": "0:0", "bin/ping": "0:0"} {
		if got := roottest.Owner(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s belongs to %s, not %s", name, got, want)
		}
	}
	if got := roottest.Xattrs(t, filepath.Join(dir, "bin/ping"))["security.capability"]; len(got) != 20 {
		t.Errorf("its capabilities are %q", got)
	}
	if got := roottest.List(t, dir); strings.Contains(got, "other") || strings.Contains(got, "skipped") || strings.Contains(got, "index") {
		t.Errorf("it has\n%s", got)
	}
	// The blob has the same files: they come back if the layer is lost.
	below := func() string { // without the root itself, which is new
		_, files, _ := strings.Cut(roottest.Exact(t, dir, nil), "\n")
		return files
	}
	want := below()
	roottest.Must(t, images.RemoveTree(dir))
	if _, err := s.Ensure(t.Context(), im.Digest); err != nil {
		t.Fatal(err)
	}
	roottest.SameLines(t, "unpacked again", below(), want)
}

// Files that are not shifted keep their ids, whatever the configuration says.
func TestImportOfFilesThatAreNotShifted(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	for _, ids := range []layer.IDs{{}, {First: 100000, Size: 65536}} {
		text := roottest.Archive(t, roottest.Dir("./"), roottest.Dir("./etc/"), owned(roottest.File("./etc/own", "x"), 7, 8))
		_, dir := adoptedFiles(t, s, System{Archive: bytes.NewReader(text), Part: layer.Part{IDs: ids}})
		if got := roottest.Owner(t, filepath.Join(dir, "etc/own")); got != "7:8" {
			t.Errorf("of %+v it belongs to %s", ids, got)
		}
	}
	// Without a configuration the owner of the root directory tells.
	text := roottest.Archive(t, owned(roottest.Dir("./"), 524288, 524288), owned(roottest.Dir("./etc/"), 524288, 524288), owned(roottest.File("./etc/own", "x"), 524295, 524296))
	_, dir := adoptedFiles(t, s, System{Archive: bytes.NewReader(text)})
	if got := roottest.Owner(t, filepath.Join(dir, "etc/own")); got != "7:8" {
		t.Errorf("of shifted ones it belongs to %s", got)
	}
}

// Of a directory the image has all files, and the directory does not change.
func TestImportADirectory(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	from := t.TempDir()
	roottest.Must(t, os.Mkdir(filepath.Join(from, "etc"), 0o755))
	roottest.Must(t, os.WriteFile(filepath.Join(from, "etc/own"), []byte("x"), 0o640))
	roottest.Must(t, os.Link(filepath.Join(from, "etc/own"), filepath.Join(from, "etc/link")))
	for name, id := range map[string]int{"": 100000, "etc": 100000, "etc/own": 100007} {
		roottest.Must(t, os.Lchown(filepath.Join(from, name), id, id))
	}
	before := roottest.Exact(t, from, nil)
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, dir := adoptedFiles(t, s, System{Dir: f})
	if got := roottest.Owner(t, filepath.Join(dir, "etc/link")); got != "7:7" {
		t.Errorf("it belongs to %s", got)
	}
	roottest.SameLines(t, "the source", roottest.Exact(t, from, nil), before)
}

// A hostile archive changes nothing outside, and what cannot be used leaves nothing.
func TestImportSystemRefuses(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	var im Image
	whole := roottest.Rootfs(t)
	roottest.Must(t, s.Make())
	before := files(t, s)
	for _, c := range []struct {
		what, words string
		text        []byte
		part        layer.Part
		failing     error
		max         int64
	}{
		{what: "no files", words: "no files", text: whole, part: layer.Part{Root: "missing"}},
		{what: "no root filesystem", words: "no root filesystem", text: roottest.Archive(t, roottest.File("a", "x"))},
		{what: "a cut archive", words: "cut off", text: whole[:len(whole)-1024]},
		{what: "text", words: "damaged", text: []byte("hello")},
		{what: "a hard link to another part", words: "not in the archive before it", text: roottest.Archive(t, roottest.File("secret", "x"), roottest.Dir("rootfs/etc/"), roottest.Hardlink("rootfs/etc/link", "secret")), part: layer.Part{Root: "rootfs"}},
		{what: "too much", words: "too large", text: roottest.Rootfs(t, roottest.File("etc/large", strings.Repeat("x", 5000))), max: 4096},
		{what: "no user", words: "no", text: whole, failing: errors.New("no")},
	} {
		u := use(&im, c.failing)
		err := s.ImportSystem(t.Context(), System{Name: "adopted", Archive: bytes.NewReader(c.text), Part: c.part, MaxSize: c.max}, u.Use, u.Used)
		if err == nil || c.failing == nil && !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := files(t, s); c.failing == nil && got != before {
			t.Errorf("%s: left\n%s", c.what, got)
		}
	}
	roottest.Must(t, s.Prune(t.Context(), noUsers))
	if all, err := s.List(); err != nil || len(all) > 0 {
		t.Errorf("there are %v, %v", all, err)
	}
}

// A name that leads out of the part leads to its top.
func TestPartIsConfined(t *testing.T) {
	roottest.NeedRoot(t)
	inside, untouched := roottest.Jail(t)
	text := roottest.Archive(t,
		roottest.Dir("rootfs/etc/"), roottest.Symlink("rootfs/out", "/../../outside"), roottest.File("rootfs/out/secret", "changed"),
		roottest.File("rootfs/../../../secret", "changed"), roottest.File("rootfs/etc/../../rootfs/etc/ok", "x"))
	_, err := layer.UnpackPart(t.Context(), inside, bytes.NewReader(text), nil, &layer.Part{Root: "rootfs"})
	untouched()
	if err != nil && !layer.BadArchive(err) {
		t.Error(err)
	}
}
