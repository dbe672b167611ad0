package checkpoint

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Images arrive as they were, and readable for criu in the VPS.
func TestPack(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	want := map[string]string{"core-1.img": "x", "pages-1.img": string(bytes.Repeat([]byte("page"), 5000)), "dump.log": ""}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var archive bytes.Buffer
	if err := (Criu{}).Pack(t.Context(), from, &archive); err != nil {
		t.Fatal(err)
	}
	if err := (Criu{}).Unpack(t.Context(), to, &archive); err != nil || archive.Len() > 0 {
		t.Fatal(err, archive.Len())
	}
	entries, err := os.ReadDir(to)
	if err != nil || len(entries) != len(want) {
		t.Errorf("there is %v, %v", entries, err)
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(to, name))
		info, err2 := os.Stat(filepath.Join(to, name))
		if err != nil || err2 != nil || string(got) != text || info.Mode() != 0o644 {
			t.Errorf("%s: %d bytes, %v, %v", name, len(got), err, info)
		}
	}
}

// An archive of another host cannot write anywhere else, and nothing but files.
func TestUnpackRefuses(t *testing.T) {
	for _, h := range []tar.Header{
		{Name: "../x", Typeflag: tar.TypeReg}, {Name: "/x", Typeflag: tar.TypeReg}, {Name: "d/x", Typeflag: tar.TypeReg}, {Name: "..", Typeflag: tar.TypeReg},
		{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, {Name: "x", Typeflag: tar.TypeDir}, {Name: "x", Typeflag: tar.TypeChar},
	} {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := (Criu{}).Unpack(t.Context(), dir, &archive); err == nil {
			t.Errorf("%q of type %c: no error", h.Name, h.Typeflag)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%q: there is %v, %v", h.Name, left, err)
		}
	}
}
