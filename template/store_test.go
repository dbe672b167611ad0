package template

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ulikunitz/xz"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/template/images"
	"croft/template/roottest"
)

func TestImport(t *testing.T) {
	plain := roottest.Rootfs(t)
	bz2, err := os.ReadFile("testdata/rootfs.tar.bz2") // Go can read bzip2 but not write it
	if err != nil {
		t.Fatal(err)
	}
	for name, packed := range map[string][]byte{
		"plain": plain,
		"gzip":  compress(t, plain, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
		"xz":    compress(t, plain, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		"zstd":  compress(t, plain, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		"bzip2": bz2,
	} {
		t.Run(name, func(t *testing.T) {
			if name == "bzip2" {
				roottest.NeedRoot(t) // its files belong to root
			}
			s := newStore(t, Options{})
			im := mustImport(t, s, "mine", packed, ImportOptions{})
			if im.Name != "mine" || im.Distribution != "test" || im.Release != "7" || im.Init != "other" || !im.Created.Equal(roottest.SomeTime) {
				t.Errorf("imported %+v", im)
			}
			if name != "bzip2" && im.Layers[0] != digest.FromBytes(plain).String() {
				t.Errorf("the diff id is %s", im.Layers[0])
			}
			dirs, err := s.LayerDirs(im)
			if err != nil {
				t.Fatal(err)
			}
			want := "drwxr-xr-x etc\n-rw-r--r-- etc/os-release \"ID=test\\nVERSION_ID=\\\"7\\\"\\n\"\ndrwxr-xr-x sbin\n-rw-r--r-- sbin/init \"#!/bin/sh\\n\"\n"
			if got := roottest.List(t, dirs[0]); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			again, err := s.Resolve("mine@" + im.Digest)
			if err != nil || again.Digest != im.Digest {
				t.Errorf("resolved %+v (%v)", again, err)
			}
		})
	}
}

func compress(t testing.TB, b []byte, to func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := to(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestImportRefusesAndLeavesNothing(t *testing.T) {
	gz := compress(t, roottest.Rootfs(t), func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	flipped := bytes.Clone(gz)
	flipped[len(flipped)/2] ^= 0xff
	for _, c := range []struct {
		name, template string
		archive        []byte
		want           fail.Kind
		says           string
	}{
		{"empty", "x", nil, fail.Usage, "empty"},
		{"no archive", "x", []byte(strings.Repeat("hello ", 1000)), fail.Usage, "damaged"},
		{"cut gzip", "x", gz[:len(gz)/2], fail.Usage, "damaged"},
		{"damaged gzip", "x", flipped, fail.Usage, "damaged"},
		{"cut tar", "x", roottest.Rootfs(t)[:1500], fail.Usage, "damaged"},
		{"no root filesystem", "x", roottest.Archive(t, roottest.File("readme", "hello")), fail.Usage, "no root filesystem"},
		{"half an OCI image", "x", roottest.Archive(t, roottest.File("oci-layout", "{}")), fail.Usage, "contains no image"},
		{"a bad name", "../x", roottest.Rootfs(t), fail.Usage, "name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, Options{})
			_, err := s.Import(context.Background(), c.template, bytes.NewReader(c.archive), ImportOptions{})
			if fail.KindOf(err) != c.want || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got kind %d, %v", fail.KindOf(err), err)
			}
			roottest.OneLine(t, err)
			if _, serr := os.Stat(s.Dir()); serr == nil && files(t, s) != "" {
				t.Errorf("left\n%s", files(t, s))
			}
		})
	}
}

func TestImportEndsWhileItsReaderBlocks(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(context.Background())
	s := newStore(t, Options{})
	done := make(chan error)
	go func() {
		_, err := s.Import(ctx, "x", r, ImportOptions{})
		done <- err
	}()
	if _, err := w.Write(roottest.Rootfs(t)[:1024]); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := files(t, s); left != "" {
		t.Errorf("left\n%s", left)
	}
}

func TestNamesAndFormerImages(t *testing.T) {
	s := newStore(t, Options{})
	first := mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
	_, err := s.Import(context.Background(), "web", bytes.NewReader(roottest.Rootfs(t)), ImportOptions{})
	if !fail.Is(err, fail.Taken) {
		t.Errorf("a taken name: %v", err)
	}
	second := mustImport(t, s, "web", roottest.Rootfs(t, roottest.File("etc/new", "")), ImportOptions{Replace: true})
	if second.Digest == first.Digest {
		t.Fatal("two different images have one digest")
	}
	for ref, want := range map[string]Image{"web": second, "web@" + first.Digest: first, first.Digest: first, second.Digest: second} {
		if got, err := s.Resolve(ref); err != nil || got.Digest != want.Digest {
			t.Errorf("%s is %s (%v)", ref, got.Digest, err)
		}
	}
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].Digest != second.Digest || all[0].Former || !all[1].Former || all[1].Name != "web" {
		t.Errorf("listed %+v (%v)", all, err)
	}
	// Build the first again: it has the name, and is in the list once.
	mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{Replace: true})
	if all, _ = s.List(); len(all) != 2 || all[0].Digest != first.Digest || all[0].Former {
		t.Errorf("listed %+v", all)
	}
	for _, ref := range []string{"nix", "other@" + first.Digest, digest.FromString("x").String()} {
		if _, err := s.Resolve(ref); !fail.Is(err, fail.NotFound) || fail.HintOf(err) == "" {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for _, ref := range []string{"", "@", "web@", "web@sha256:12", "sha256:zz", "UP", "a/b", "-a", "a b", strings.Repeat("a", 64)} {
		if _, err := s.Resolve(ref); !fail.Is(err, fail.Usage) {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

func TestAnAbsentStoreIsEmpty(t *testing.T) {
	s := newStore(t, Options{})
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
	if err := s.Remove(context.Background(), "x", noUsers); !fail.Is(err, fail.NotFound) {
		t.Errorf("remove: %v", err)
	}
	if err := s.Prune(context.Background(), noUsers); err != nil {
		t.Errorf("prune: %v", err)
	}
	if _, err := s.Ensure(context.Background(), "nothing-like-that"); !fail.Is(err, fail.NotFound) || !strings.Contains(fail.HintOf(err), "croft template list") {
		t.Errorf("ensure: %v", err)
	}
	if _, err := os.Stat(s.Dir()); err == nil {
		t.Error("looking has made a store")
	}
}

func TestRemove(t *testing.T) {
	s := newStore(t, Options{})
	old := mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
	now := mustImport(t, s, "web", roottest.Rootfs(t, roottest.File("etc/new", "")), ImportOptions{Replace: true})
	mustImport(t, s, "other", roottest.Rootfs(t), ImportOptions{Distribution: "else"}) // the same layer as old
	ctx := context.Background()
	err := s.Remove(ctx, "web", func() (map[string][]string, error) { return map[string][]string{now.Digest: {"b", "a"}}, nil })
	if !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "a, b") {
		t.Errorf("in use: %v", err)
	}
	err = s.Remove(ctx, "web", func() (map[string][]string, error) { return map[string][]string{old.Digest: {"a"}}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LayerDirs(now); !fail.Is(err, fail.State) {
		t.Errorf("the removed one's layer: %v", err)
	}
	if im, err := s.Resolve("web@" + old.Digest); err != nil || !im.Former {
		t.Errorf("the one in use: %+v %v", im, err)
	}
	if err := s.Prune(ctx, noUsers); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(old.Digest); !fail.Is(err, fail.NotFound) {
		t.Errorf("pruned: %v", err)
	}
	if _, err := s.LayerDirs(old); err != nil {
		t.Errorf("the layer that another template shares: %v", err)
	}
	if err := s.Remove(ctx, "other", noUsers); err != nil {
		t.Fatal(err)
	}
	if left := files(t, s); !strings.HasPrefix(left, "-rw-r--r-- index.json") || strings.Count(left, "\n") != 1 {
		t.Errorf("left\n%s", left)
	}
}

// All names but the last of an image that VPSs use can be removed.
func TestRemoveOneOfSeveralNames(t *testing.T) {
	s := newStore(t, Options{})
	im := mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
	also := mustImport(t, s, "alias", roottest.Rootfs(t), ImportOptions{})
	if im.Digest != also.Digest {
		t.Fatal("the same files make another image")
	}
	used := func() (map[string][]string, error) { return map[string][]string{im.Digest: {"a"}}, nil }
	if err := s.Remove(t.Context(), im.Digest, used); !fail.Is(err, fail.State) {
		t.Errorf("all names at once: %v", err)
	}
	if err := s.Remove(t.Context(), "alias", used); err != nil {
		t.Error(err)
	}
	if _, err := s.Resolve("alias"); !fail.Is(err, fail.NotFound) {
		t.Errorf("the removed name: %v", err)
	}
	if dirs, err := s.LayerDirs(im); err != nil || len(dirs) != 1 {
		t.Errorf("the image that has another name: %v", err)
	}
	err := s.Remove(t.Context(), "web", used)
	if !fail.Is(err, fail.State) {
		t.Errorf("the last name: %v", err)
	}
	if hint := fail.HintOf(err); !strings.HasPrefix(hint, "croft list ") {
		t.Errorf("the hint is %q", hint)
	}
}

// The first digits of a digest, which lists show, are enough.
func TestDigestsCutShort(t *testing.T) {
	s := newStore(t, Options{})
	im := mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
	digits := strings.TrimPrefix(im.Digest, "sha256:")
	for _, text := range []string{"web@" + digits[:12], "web@sha256:" + digits[:20], "sha256:" + digits[:12], "web@" + digits, "web@" + im.Digest} {
		if got, err := s.Resolve(text); err != nil || got.Digest != im.Digest {
			t.Errorf("%s: %s, %v", text, got.Digest, err)
		}
		if _, err := s.Ensure(t.Context(), text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, kind := range map[string]fail.Kind{
		"web@" + digits[:11]: fail.Usage, "web@" + digits + "0": fail.Usage, "web@": fail.Usage, "web@sha512:" + digits: fail.Usage,
		"other@" + digits[:12]: fail.NotFound, "web@" + strings.Repeat("0", 12): fail.NotFound,
	} {
		if _, err := s.Resolve(text); !fail.Is(err, kind) {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := s.Ensure(t.Context(), text); !fail.Is(err, kind) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := s.Remove(t.Context(), "web@"+digits[:12], noUsers); err != nil {
		t.Error(err)
	}
}

// A reference to a registry is an error, with a hint that pulls the image.
func TestReferencesAreHinted(t *testing.T) {
	s := newStore(t, Options{})
	for _, text := range []string{"docker.io/library/debian:12", "debian:12", "registry.example:5000/a/b"} {
		_, err := s.Resolve(text)
		if hint := fail.HintOf(err); !fail.Is(err, fail.Usage) || hint != "croft template pull "+text {
			t.Errorf("%s: %v, hint %q", text, err, hint)
		}
	}
}

func TestEnsureUnpacksAgain(t *testing.T) {
	s := newStore(t, Options{})
	im := mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
	dirs, _ := s.LayerDirs(im)
	before := roottest.List(t, dirs[0])
	if err := os.RemoveAll(dirs[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LayerDirs(im); !fail.Is(err, fail.State) {
		t.Errorf("a layer that is gone: %v", err)
	}
	if _, err := s.Ensure(context.Background(), "web"); err != nil {
		t.Fatal(err)
	}
	if after := roottest.List(t, dirs[0]); after != before {
		t.Errorf("was\n%sis\n%s", before, after)
	}
}

func TestADamagedBlobIsNotUnpacked(t *testing.T) {
	other := compress(t, roottest.Rootfs(t, roottest.File("etc/evil", "")), func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	for name, content := range map[string][]byte{"cut": nil, "another archive": other} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			im := mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
			dirs, _ := s.LayerDirs(im)
			stored, err := s.Find(images.Ref{Name: "web"})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.BlobPath(stored.Manifest.Layers[0].Digest), content, 0o600); err != nil {
				t.Fatal(err)
			}
			os.RemoveAll(dirs[0])
			_, err = s.Ensure(context.Background(), "web")
			if err == nil {
				t.Fatal("a damaged blob was unpacked")
			}
			roottest.OneLine(t, err)
			if _, err := os.Stat(dirs[0]); err == nil {
				t.Error("the layer counts")
			}
		})
	}
}

func TestADamagedIndexIsSaid(t *testing.T) {
	for name, text := range map[string]string{"cut": `{"schemaVersion": 2, "mani`, "digest": `{"manifests":[{"digest":"../../etc/passwd"}]}`, "number": `7`} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
			if err := os.WriteFile(s.Path(oci.ImageIndexFile), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := s.List()
			if !fail.Is(err, fail.State) {
				t.Errorf("got %v", err)
			}
			roottest.OneLine(t, err)
		})
	}
}

// List warns of a damaged image, and lists the others.
func TestListWithADamagedImage(t *testing.T) {
	var warnings []string
	s := newStore(t, Options{Warn: func(w string) { warnings = append(warnings, w) }})
	bad := mustImport(t, s, "bad", roottest.Rootfs(t), ImportOptions{Env: []string{"A=b"}})
	mustImport(t, s, "good", roottest.Rootfs(t), ImportOptions{})
	algorithm, hex, _ := strings.Cut(bad.Digest, ":")
	if err := os.WriteFile(s.Path("blobs", algorithm, hex), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := s.List()
	if err != nil || len(all) != 1 || all[0].Name != "good" {
		t.Errorf("listed %+v, %v", all, err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "template bad") {
		t.Errorf("warned %q", warnings)
	}
}

// Other tools can read the layout: each descriptor has the digest and size of its
// blob.
func TestTheLayoutIsOCI(t *testing.T) {
	s := newStore(t, Options{})
	mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{Env: []string{"A=b"}, Cmd: []string{"/bin/sh"}})
	var layout oci.ImageLayout
	if err := images.ReadJSON(s.Path(oci.ImageLayoutFile), &layout); err != nil || layout.Version != oci.ImageLayoutVersion {
		t.Errorf("%+v %v", layout, err)
	}
	ix, err := s.Index()
	if err != nil || ix.SchemaVersion != 2 || len(ix.Manifests) != 1 || ix.Manifests[0].Annotations[oci.AnnotationRefName] != "web" {
		t.Fatalf("%+v %v", ix, err)
	}
	blob := func(d oci.Descriptor) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(s.Dir(), "blobs", "sha256", d.Digest.Encoded()))
		if err != nil || int64(len(b)) != d.Size || digest.FromBytes(b) != d.Digest {
			t.Fatalf("%s: %d bytes, %v", d.Digest, len(b), err)
		}
		return b
	}
	var m oci.Manifest
	if err := json.Unmarshal(blob(ix.Manifests[0]), &m); err != nil || m.MediaType != oci.MediaTypeImageManifest || m.Config.MediaType != oci.MediaTypeImageConfig {
		t.Fatalf("%+v %v", m, err)
	}
	var c oci.Image
	if err := json.Unmarshal(blob(m.Config), &c); err != nil || c.OS != "linux" || c.Architecture == "" || len(c.RootFS.DiffIDs) != 1 || c.Config.Env[0] != "A=b" {
		t.Fatalf("%+v %v", c, err)
	}
	z, err := zstd.NewReader(bytes.NewReader(blob(m.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil || digest.FromBytes(plain) != c.RootFS.DiffIDs[0] || m.Layers[0].MediaType != oci.MediaTypeImageLayerZstd {
		t.Errorf("layer %s: %v", m.Layers[0].MediaType, err)
	}
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"systemd", roottest.Rootfs(t, roottest.Symlink("sbin/init", "/lib/systemd/systemd"), roottest.Symlink("lib", "usr/lib"), roottest.Dir("usr/lib/systemd"), roottest.File("usr/lib/systemd/systemd", "")), string(initkind.Systemd)},
		{"sysvinit", roottest.Rootfs(t, roottest.File("etc/inittab", "")), string(initkind.SysV)},
		{"openrc", roottest.Rootfs(t, roottest.File("etc/inittab", ""), roottest.File("sbin/openrc", "")), string(initkind.AnyOpenRC)},
		{"alpine", roottest.Rootfs(t, roottest.Symlink("sbin/init", "/bin/busybox"), roottest.File("bin/busybox", ""), roottest.File("sbin/openrc", "")), string(initkind.AnyOpenRC)},
		{"busybox", roottest.Rootfs(t, roottest.Symlink("sbin/init", "../bin/busybox"), roottest.File("bin/busybox", "")), string(initkind.Busybox)},
		{"runit", roottest.Rootfs(t, roottest.Symlink("sbin/init", "runit-init"), roottest.File("sbin/runit-init", "")), string(initkind.Runit)},
		{"a link out", roottest.Rootfs(t, roottest.Symlink("sbin/init", "/../../../../../bin/sh")), ""},
		{"none", roottest.Archive(t, roottest.Dir("usr")), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, Options{})
			im := mustImport(t, s, "x", c.archive, ImportOptions{})
			if im.Init != c.want {
				t.Errorf("init is %q, want %q", im.Init, c.want)
			}
			if (im.ContainerEnv == "lxc") != (c.want == string(initkind.AnyOpenRC)) {
				t.Errorf("container is %q", im.ContainerEnv)
			}
		})
	}
}
