package template

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/roottest"
)

// twoLayered creates a template with two layers and a config.
func twoLayered(t *testing.T, s *Store) Image {
	t.Helper()
	h := newHub(t)
	h.publish(t, "two:1", published{layers: twoLayers(t), kind: oci.MediaTypeImageLayerZstd, pack: zstdOf(t),
		config: oci.ImageConfig{Env: []string{"A=b"}, Cmd: []string{"x"}, User: "5:6", WorkingDir: "/srv"}})
	im, err := s.Pull(t.Context(), h.host+"/two:1", PullOptions{Insecure: true, Name: "two"})
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func TestExportAndImport(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	im := twoLayered(t, s)
	want := seen(t, s, im)
	for _, c := range []struct {
		name string
		o    ExportOptions
		same string // whether the digest is: layers are compressed anew by docker-archive and rootfs
	}{
		{"oci-archive", ExportOptions{}, "yes"},
		{"oci", ExportOptions{Format: FormatOCI}, "yes"},
		{"gzip", ExportOptions{Format: FormatOCI, Gzip: true}, "no"},
		{"docker-archive", ExportOptions{Format: FormatDockerArchive}, ""},
		{"rootfs", ExportOptions{Format: FormatRootfs}, "no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if c.o.Format == FormatOCI {
				c.o.Dir = filepath.Join(t.TempDir(), "layout")
			}
			if err := s.Export(t.Context(), "two", &out, c.o); err != nil {
				t.Fatal(err)
			}
			other := newStore(t, Options{})
			back, err := other.Import(t.Context(), "back", &out, ImportOptions{Dir: c.o.Dir})
			if err != nil {
				t.Fatal(err)
			}
			if same := back.Digest == im.Digest; same && c.same == "no" || !same && c.same == "yes" {
				t.Errorf("it comes back as %s, and was %s", back.Digest, im.Digest)
			}
			if c.name != "rootfs" && (strings.Join(back.Layers, " ") != strings.Join(im.Layers, " ") || back.User != "5:6" || back.WorkingDir != "/srv" || back.Env[0] != "A=b" || back.Cmd[0] != "x") {
				t.Errorf("it comes back as %+v", back)
			}
			if back.Source != c.o.Dir || (back.SourceDigest != "") != (c.o.Dir != "") || back.Init != im.Init || back.Distribution != "test" {
				t.Errorf("it comes back as %+v", back)
			}
			if got := seen(t, other, back); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if c.o.Dir != "" {
				if err := s.Export(t.Context(), "two", nil, c.o); !fail.Is(err, fail.Taken) {
					t.Errorf("into a full directory: %v", err)
				}
			}
			for _, st := range []*Store{s, other} {
				if left := files(t, st); strings.Contains(left, "stage-") {
					t.Errorf("left:\n%s", left)
				}
			}
		})
	}
}

// docker returns an archive of docker save with one layer, after spoil has changed it.
func dockerArchive(t testing.TB, layer []byte, spoil func(all []archive.DockerImage, c *oci.Image) []archive.DockerImage) []byte {
	c := oci.Image{Platform: oci.Platform{OS: "linux", Architecture: thisArch}, RootFS: oci.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}}}
	all := []archive.DockerImage{{Config: "config.json", RepoTags: []string{"a:1"}, Layers: []string{"one/layer.tar"}}}
	if spoil != nil {
		all = spoil(all, &c)
	}
	config, _ := json.Marshal(c)
	manifest, _ := json.Marshal(all)
	return roottest.Archive(t, roottest.File("manifest.json", string(manifest)), roottest.File("config.json", string(config)), roottest.Dir("one/"), roottest.File("one/layer.tar", string(layer)),
		roottest.Symlink("out.tar", "/etc/passwd"))
}

func TestImportDockerArchive(t *testing.T) {
	layer := roottest.Rootfs(t)
	for _, c := range []struct {
		name  string
		spoil func(all []archive.DockerImage, c *oci.Image) []archive.DockerImage
		image string
		want  string // in the error; "" is none
	}{
		{"as it is", nil, "", ""},
		{"by its name", nil, "a:1", ""},
		{"another name", nil, "b:1", "only a:1"},
		{"one of two", func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage {
			return append(all, archive.DockerImage{Config: "none", RepoTags: []string{"b:1"}})
		}, "a:1", ""},
		{"which of two", func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage {
			return append(all, archive.DockerImage{Config: "none", RepoTags: []string{"b:1"}})
		}, "", "several images: a:1, b:1"},
		{"none", func([]archive.DockerImage, *oci.Image) []archive.DockerImage { return nil }, "", "contains no image"},
		{"no layers", func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage { all[0].Layers = nil; return all }, "", "0 layers"},
		{"a config elsewhere", func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage {
			all[0].Config = "../../../../../etc/hostname"
			return all
		}, "", "its config"},
		{"a layer that is a link out", func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage {
			all[0].Layers[0] = "out.tar"
			return all
		}, "", "its layer out.tar"},
		{"a directory as a layer", func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage {
			all[0].Layers[0] = "one"
			return all
		}, "", "its layer one"},
		{"another layer", func(all []archive.DockerImage, c *oci.Image) []archive.DockerImage {
			c.RootFS.DiffIDs[0] = digest.FromString("x")
			return all
		}, "", "has digest"},
		{"another machine", func(all []archive.DockerImage, c *oci.Image) []archive.DockerImage {
			c.Architecture = "mips"
			return all
		}, "", "linux/mips"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, Options{})
			im, err := s.Import(t.Context(), "web", bytes.NewReader(dockerArchive(t, layer, c.spoil)), ImportOptions{Image: c.image})
			if c.want == "" {
				if err != nil || im.Distribution != "test" {
					t.Errorf("%+v, %v", im, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			roottest.OneLine(t, err)
			if left := files(t, s); left != "" {
				t.Errorf("left:\n%s", left)
			}
		})
	}
}

// An OCI layout in a directory, after spoil has changed its index and manifest.
func layoutDir(t testing.TB, spoil func(ix *oci.Index, m *oci.Manifest)) string {
	t.Helper()
	top := t.TempDir()
	put := func(mediaType string, b []byte) oci.Descriptor {
		d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		if err := os.MkdirAll(filepath.Join(top, "blobs/sha256"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, archive.BlobName(d.Digest)), b, 0o644); err != nil {
			t.Fatal(err)
		}
		return d
	}
	encode := func(v any) []byte { b, _ := json.Marshal(v); return b }
	layer := roottest.Rootfs(t)
	m := oci.Manifest{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest}
	m.Layers = []oci.Descriptor{put(oci.MediaTypeImageLayer, layer)}
	m.Config = put(oci.MediaTypeImageConfig, encode(oci.Image{Platform: oci.Platform{OS: "linux", Architecture: thisArch}, RootFS: oci.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}}}))
	var ix oci.Index
	ix.SchemaVersion = 2
	spoil(&ix, &m)
	d := put(oci.MediaTypeImageManifest, encode(m))
	d.Annotations = map[string]string{oci.AnnotationRefName: "a"}
	ix.Manifests = append([]oci.Descriptor{d}, ix.Manifests...)
	os.WriteFile(filepath.Join(top, "index.json"), encode(ix), 0o644)
	os.WriteFile(filepath.Join(top, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
	return top
}

func TestImportLayout(t *testing.T) {
	other := oci.Descriptor{Digest: digest.FromString("x"), Annotations: map[string]string{oci.AnnotationRefName: "b"}}
	foreign := oci.Descriptor{Digest: digest.FromString("x"), Platform: &oci.Platform{OS: "linux", Architecture: "mips"}, Annotations: map[string]string{oci.AnnotationRefName: "a"}}
	for _, c := range []struct {
		name  string
		spoil func(ix *oci.Index, m *oci.Manifest)
		image string
		want  string
	}{
		{"as it is", func(*oci.Index, *oci.Manifest) {}, "", ""},
		{"which of two", func(ix *oci.Index, _ *oci.Manifest) { ix.Manifests = append(ix.Manifests, other) }, "", "several images: a, b"},
		{"one of two", func(ix *oci.Index, _ *oci.Manifest) { ix.Manifests = append(ix.Manifests, other) }, "a", ""},
		{"one that is not there", func(ix *oci.Index, _ *oci.Manifest) { ix.Manifests = append(ix.Manifests, other) }, "b", "its manifest sha256:"},
		{"a digest that leads out", func(ix *oci.Index, _ *oci.Manifest) {
			ix.Manifests = append(ix.Manifests, oci.Descriptor{Digest: "sha256:../../../../../etc/passwd"})
		}, "a", "digest"},
		{"a layer that is not there", func(_ *oci.Index, m *oci.Manifest) { m.Layers[0].Digest = digest.FromString("x") }, "", "its blob"},
		{"a layer that is longer", func(_ *oci.Index, m *oci.Manifest) { m.Layers[0].Size-- }, "", "does not have the"},
		{"a layer that is shorter", func(_ *oci.Index, m *oci.Manifest) { m.Layers[0].Size++ }, "", "does not have the"},
		{"another layer", func(_ *oci.Index, m *oci.Manifest) {
			m.Layers[0] = m.Config
			m.Layers[0].MediaType = oci.MediaTypeImageLayer
		}, "", "archive"},
		{"one of no machine that counts", func(ix *oci.Index, _ *oci.Manifest) { ix.Manifests = append(ix.Manifests, foreign) }, "", "only for linux/mips"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, Options{})
			im, err := s.Import(t.Context(), "web", nil, ImportOptions{Dir: layoutDir(t, c.spoil), Image: c.image})
			if c.want == "" {
				if err != nil || im.Distribution != "test" {
					t.Errorf("%+v, %v", im, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			roottest.OneLine(t, err)
			if left := files(t, s); left != "" {
				t.Errorf("left:\n%s", left)
			}
		})
	}
}
