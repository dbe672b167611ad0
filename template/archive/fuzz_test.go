package archive

import (
	"path/filepath"
	"testing"

	"croft/internal/fail"
)

// A name in an archive of an image is a name below its root directory, or it is skipped.
func FuzzBelowRoot(f *testing.F) {
	for _, seed := range []string{"rootfs/etc/passwd", "rootfs/../x", "./rootfs//a", "rootfs", "/rootfs/x", "metadata.yaml"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if below, ok := belowRoot(name); ok && !filepath.IsLocal(below) {
			t.Errorf("%q is %q below the root directory", name, below)
		}
	})
}

// A reference that is accepted names a path, and its text means the same.
func FuzzReference(f *testing.F) {
	for _, seed := range []string{"/a", "oci:dir:tag", "docker-archive:x.tar:debian:13", "oci-archive:", "web", "oci:a:b\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok, err := ParseReference(text)
		if err != nil && fail.KindOf(err) != fail.Usage {
			t.Errorf("kind %v: %v", fail.KindOf(err), err)
		}
		if !ok || err != nil {
			return
		}
		if again, ok, err := ParseReference(r.String()); r.Path == "" || !ok || err != nil || again != r {
			t.Errorf("%q is %+v, and %q is %+v, %v, %v", text, r, r.String(), again, ok, err)
		}
	})
}
