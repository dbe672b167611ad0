package images

import (
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"croft/template/roottest"
)

// FuzzDocuments: any text as an index, a manifest or a config is valid, or an error of
// one line. Valid ones contain only valid digests.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:../../x","size":-1,"platform":{"os":"linux"}}]}`), runtime.GOARCH)
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:`+strings.Repeat("0", 64)+`"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"sha512:1","size":9}]}`), "arm")
	f.Add([]byte(`{"os":"linux","rootfs":{"diff_ids":["sha256:`+strings.Repeat("a", 64)+`"]}}`), "amd64")
	f.Add([]byte(`{"manifests":null}`), "")
	f.Add([]byte(`[]`), "x")
	f.Fuzz(func(t *testing.T, b []byte, arch string) {
		good := func(d digest.Digest) {
			if len(d) != len("sha256:")+64 || strings.ContainsAny(string(d), "/.") {
				t.Errorf("digest %q", d)
			}
		}
		isIndex("", b)
		ix, err := ParseIndex(b)
		if err == nil {
			for _, d := range ix.Manifests {
				good(d.Digest)
			}
			if _, err := Choose(ix, arch); err != nil && !strings.ContainsAny(string(b), "\n\x00") && !strings.Contains(string(b), `\`) {
				roottest.OneLine(t, err)
			}
		}
		m, err := ParseManifest(b)
		if err == nil {
			good(m.Config.Digest)
			for _, l := range m.Layers {
				good(l.Digest)
			}
			if len(m.Layers) == 0 {
				t.Error("a manifest without layers")
			}
		}
		for layers := range 3 {
			if c, err := ParseConfig(b, layers, arch); err == nil {
				for _, d := range c.RootFS.DiffIDs {
					good(d)
				}
			}
		}
	})
}
