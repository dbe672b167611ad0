package template

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with the file name of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("needs root, runs as %d", os.Geteuid())
	}
}

var someTime = time.Unix(1700000000, 0)

// An entry of a test's archive. Without an owner it is the tester's.
func file(name, text string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, PAXRecords: map[string]string{"TEST.body": text}}
}

func dir(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}
}

func symlink(name, to string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}
}

func hardlink(name, to string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}

// archive makes a tar of the entries.
func archive(t testing.TB, entries ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := *e
		body := h.PAXRecords["TEST.body"]
		h.PAXRecords = map[string]string{}
		for k, v := range e.PAXRecords {
			if k != "TEST.body" {
				h.PAXRecords[k] = v
			}
		}
		h.Size, h.ModTime, h.Format = int64(len(body)), someTime, tar.FormatPAX
		if h.Uid == 0 && h.Gid == 0 {
			h.Uid, h.Gid = os.Geteuid(), os.Getegid()
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rootfs is the archive of a small root filesystem.
func rootfs(t testing.TB, more ...*tar.Header) []byte {
	t.Helper()
	return archive(t, append([]*tar.Header{
		dir("etc/"), file("etc/os-release", "ID=test\nVERSION_ID=\"7\"\n"), dir("sbin/"), file("sbin/init", "#!/bin/sh\n"),
	}, more...)...)
}

// list prints a tree, one line a file: type and mode, size, link count where
// it is not 1, name, link target.
func list(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		name = strings.ReplaceAll(name, "\n", `\n`) // one line a file
		in, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%v %s", in.Mode(), name)
		switch {
		case in.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			line += " -> " + to
		case in.Mode().IsRegular():
			text, _ := os.ReadFile(p)
			line += fmt.Sprintf(" %q", text)
			if st.Nlink > 1 {
				line += fmt.Sprintf(" links=%d", st.Nlink)
			}
		case in.Mode()&fs.ModeCharDevice != 0:
			line += fmt.Sprintf(" dev=%d", st.Rdev)
		}
		b.WriteString(line + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// files is list without what a store always has: what is left of a failure.
func files(t testing.TB, s *Store) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(list(t, s.Dir())) {
		if strings.HasPrefix(line, "d") && strings.Count(line, "/") < 2 && !strings.Contains(line, "stage-") {
			continue
		}
		if strings.Contains(line, " locks/") || strings.Contains(line, " oci-layout") {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

func newStore(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Recipes == "" {
		o.Recipes = filepath.Join(t.TempDir(), "none")
	}
	s := Open(filepath.Join(t.TempDir(), "templates"), o)
	s.retryPause = time.Millisecond
	return s
}

func mustImport(t testing.TB, s *Store, name string, tarball []byte, o ImportOptions) Image {
	t.Helper()
	im, err := s.Import(context.Background(), name, bytes.NewReader(tarball), o)
	if err != nil {
		t.Fatalf("import %s: %v", name, err)
	}
	return im
}

func nobody() (map[string][]string, error) { return nil, nil }

// oneLine fails unless err is something that a person can read at a glance.
func oneLine(t testing.TB, err error) {
	t.Helper()
	if err == nil || err.Error() == "" || strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("not one line: %q", err)
	}
}

const thisArch = goruntime.GOARCH

func newGzip(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zstdOf(t testing.TB) func([]byte) []byte {
	return func(b []byte) []byte {
		return compress(t, b, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	}
}
