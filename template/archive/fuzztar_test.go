package archive

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"croft/internal/fail"
	"croft/template/roottest"
)

// An archive of an image is read, or it is an error that the user can understand. The root
// filesystem that is copied from it has only names below its root directory.
func FuzzImageArchive(f *testing.F) {
	f.Add(roottest.Archive(f, roottest.File("metadata.yaml", "creation_date: 1\n"), roottest.File("templates/x", "y"),
		roottest.File("rootfs/../../x", "z"), roottest.Hardlink("rootfs/h", "rootfs/../x"), roottest.Symlink("rootfs/s", "/")))
	f.Add(roottest.Archive(f, roottest.Hardlink("rootfs/h", "/etc/passwd")))
	f.Add([]byte("0"))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		name := filepath.Join(t.TempDir(), "image.tar")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadMetadata(name); err != nil && fail.KindOf(err) != fail.Usage {
			t.Errorf("metadata: kind %v: %v", fail.KindOf(err), err)
		}
		var root bytes.Buffer
		if err := CopyRoot(&root, name); err != nil {
			if fail.KindOf(err) != fail.Usage {
				t.Errorf("root filesystem: kind %v: %v", fail.KindOf(err), err)
			}
			return
		}
		for r := tar.NewReader(&root); ; {
			h, err := r.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("the copy is damaged: %v", err)
			}
			if !filepath.IsLocal("./"+h.Name) || h.Typeflag == tar.TypeLink && !filepath.IsLocal("./"+h.Linkname) {
				t.Errorf("the copy has %q, a link to %q", h.Name, h.Linkname)
			}
		}
	})
}
