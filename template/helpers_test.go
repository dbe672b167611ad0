package template

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"croft/template/roottest"
)

// files lists a store without the files that every store has.
func files(t testing.TB, s *Store) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(roottest.List(t, s.Dir())) {
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
	s.RetryPause = time.Millisecond
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

func noUsers() (map[string][]string, error) { return nil, nil }

const thisArch = goruntime.GOARCH

func newGzip(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zstdOf(t testing.TB) func([]byte) []byte {
	return func(b []byte) []byte {
		return compress(t, b, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	}
}
