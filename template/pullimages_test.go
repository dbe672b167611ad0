package template

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/recipe"
	"croft/template/roottest"
	"croft/template/streams/imageserver"
)

func xzOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const metadataText = `
architecture: x86_64
creation_date: 1750251670
templates:
  /etc/hostname: {when: [create], template: hostname.tpl}
  /etc/inittab: {when: [create], template: inittab.tpl, mode: "0640"}
  /etc/motd: {when: [create], template: hostname.tpl}
`

// metaTar returns the archive with the metadata of an image, and more entries.
func metaTar(t testing.TB, more ...*tar.Header) []byte {
	return roottest.Archive(t, append([]*tar.Header{
		roottest.File("metadata.yaml", metadataText), roottest.Dir("templates/"),
		roottest.File("templates/hostname.tpl", "{{ container.name }}"), roottest.File("templates/inittab.tpl", "tty::respawn"),
	}, more...)...)
}

// anImage is a product whose root filesystem has a file with this text.
func anImage(t testing.TB, serial, text string) imageserver.Product {
	return imageserver.Product{
		Name: "test:7:amd64:default", Aliases: "test/7,test", OS: "Test", Release: "7", Variant: "default", Arch: "amd64", Serial: serial,
		Files: map[string][]byte{
			"incus.tar.xz": xzOf(t, metaTar(t)), "root.tar.xz": xzOf(t, roottest.Rootfs(t, roottest.File("etc/text", text))),
		},
	}
}

// imageServer serves products, as the server lab of the store.
func imageServer(t testing.TB, s *Store, all ...imageserver.Product) *imageserver.Server {
	t.Helper()
	h := &imageserver.Server{}
	h.Serve(all...)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	if err := s.AddRemote(context.Background(), Remote{Name: "lab", URL: server.URL}, false); err != nil {
		t.Fatal(err)
	}
	return h
}

func pullLab(t testing.TB, s *Store, image string, o PullOptions) (Image, error) {
	t.Helper()
	o.Insecure, o.Architecture = true, "amd64"
	return s.Pull(context.Background(), "lab:"+image, o)
}

func unneeded(t testing.TB, s *Store) {
	t.Helper()
	for _, dir := range []string{"partial", "tmp"} {
		if all, err := os.ReadDir(s.Path(dir)); err != nil || len(all) > 0 {
			t.Errorf("%s has %v, %v", dir, all, err)
		}
	}
}

// An image of a server becomes a template, with the files of those templates of the image
// that are the same in each VPS. Pulling it again does nothing until the server has a newer one.
func TestPullOfAnImageServer(t *testing.T) {
	var warned []string
	s := newStore(t, Options{Warn: func(line string) { warned = append(warned, line) }})
	h := imageServer(t, s, anImage(t, "20260101_05:24", "first"))
	im, err := pullLab(t, s, "test/7", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if im.Name != "test-7" || im.Source != "lab:test/7" || im.Distribution != "test" || im.Release != "7" || im.Variant != "default" || im.Created.Unix() != 1750251670 || len(im.Layers) != 2 {
		t.Errorf("%+v", im)
	}
	dirs, err := s.LayerDirs(im)
	if err != nil {
		t.Fatal(err)
	}
	if got := roottest.List(t, dirs[0]); got != "drwxr-xr-x etc\n-rw-r----- etc/inittab \"tty::respawn\"\n" {
		t.Errorf("the upper layer has\n%s", got)
	}
	if len(warned) != 1 || !strings.HasSuffix(warned[0], "templates of /etc/motd") {
		t.Errorf("warned %q", warned)
	}
	unneeded(t, s)
	h.Asked()
	if again, err := pullLab(t, s, "test/7", PullOptions{}); err != nil || again.Digest != im.Digest || len(h.Asked()) != 2 {
		t.Errorf("again: %+v, %v", again, err)
	}
	h.Serve(anImage(t, "20260102_05:24", "second"), anImage(t, "20260101_05:24", "first"))
	newer, err := pullLab(t, s, "test/7", PullOptions{})
	if err != nil || newer.Digest == im.Digest || newer.Layers[1] != im.Layers[1] {
		t.Errorf("newer: %+v, %v", newer, err)
	}
	if _, err := pullLab(t, s, "test", PullOptions{Name: "test-7"}); !fail.Is(err, fail.Taken) {
		t.Errorf("another image has the name: %v", err)
	}
	if _, err := pullLab(t, s, "none", PullOptions{}); !fail.Is(err, fail.NotFound) || fail.HintOf(err) != "croft template search lab: none" {
		t.Errorf("a missing image: %v, %s", err, fail.HintOf(err))
	}
	if _, err := s.Pull(t.Context(), "nix:test/7", PullOptions{}); !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), `no image server "nix"`) {
		t.Errorf("a missing server: %v", err)
	}
}

// All formats give the same files: hard links, attributes, owners and modes.
func TestFormatsOfImageServers(t *testing.T) {
	roottest.NeedRoot(t)
	entries := []*tar.Header{
		{Typeflag: tar.TypeReg, Name: "sbin/tool", Mode: 0o4755, Uid: 1, Gid: 2}, roottest.Hardlink("sbin/same", "sbin/tool"), roottest.Symlink("sbin/link", "tool"),
		{Typeflag: tar.TypeReg, Name: "sbin/able", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}},
		{Typeflag: tar.TypeDir, Name: "srv/", Mode: 0o1777},
	}
	root := roottest.Rootfs(t, entries...)
	product := func(files map[string][]byte) imageserver.Product {
		p := anImage(t, "20260101", "")
		p.Files = files
		return p
	}
	meta := xzOf(t, roottest.Archive(t, roottest.File("metadata.yaml", "architecture: x86_64\n")))
	var unified []*tar.Header
	for _, h := range append([]*tar.Header{roottest.Dir("etc/"), roottest.File("etc/os-release", "ID=test\nVERSION_ID=\"7\"\n"), roottest.Dir("sbin/"), roottest.File("sbin/init", "#!/bin/sh\n")}, entries...) {
		copied := *h
		copied.Name = "rootfs/" + h.Name
		if h.Typeflag == tar.TypeLink {
			copied.Linkname = "rootfs/" + h.Linkname
		}
		unified = append(unified, &copied)
	}
	want := ""
	for _, c := range []struct {
		name  string
		files map[string][]byte
	}{
		{"tar", map[string][]byte{"incus.tar.xz": meta, "root.tar.xz": xzOf(t, root)}},
		{"squashfs", map[string][]byte{"lxd.tar.xz": meta, "squashfs": squashfsOf(t, root)}},
		{"unified", map[string][]byte{"incus_combined.tar.gz": roottest.Archive(t, append([]*tar.Header{roottest.File("metadata.yaml", "architecture: x86_64\n"), roottest.Dir("rootfs/")}, unified...)...)}},
	} {
		s := newStore(t, Options{})
		imageServer(t, s, product(c.files))
		im, err := pullLab(t, s, "test", PullOptions{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		dirs, err := s.LayerDirs(im)
		roottest.Must(t, err)
		_, got, _ := strings.Cut(roottest.Exact(t, dirs[0], nil), "\n") // the first line is the root directory, whose time is now
		if want == "" {
			want = got
		}
		roottest.SameLines(t, c.name, got, want)
		unneeded(t, s)
		for ftype, content := range c.files { // as a file
			if ftype == "squashfs" || ftype == "incus_combined.tar.gz" {
				im := mustImport(t, newStore(t, Options{}), "own", content, ImportOptions{})
				if im.Distribution != "test" || len(im.Layers) != 1 {
					t.Errorf("%s as a file: %+v", ftype, im)
				}
			}
		}
	}
}

// An image of Incus in one archive is imported with the files that its templates make.
func TestImportOfAnIncusImage(t *testing.T) {
	s := newStore(t, Options{})
	archive := metaTar(t, roottest.Dir("rootfs/"), roottest.Dir("rootfs/etc/"), roottest.File("rootfs/etc/os-release", "ID=test\n"), roottest.File("rootfs/etc/inittab", "old"))
	im := mustImport(t, s, "own", archive, ImportOptions{})
	if im.Distribution != "test" || len(im.Layers) != 2 || im.Created.Unix() != 1750251670 {
		t.Errorf("%+v", im)
	}
	tree, err := s.LayerDirs(im)
	roottest.Must(t, err)
	if got := roottest.List(t, tree[0]); got != "drwxr-xr-x etc\n-rw-r----- etc/inittab \"tty::respawn\"\n" {
		t.Errorf("the upper layer has\n%s", got)
	}
	if _, err := s.Import(t.Context(), "other", bytes.NewReader(archive), ImportOptions{Image: "x"}); !fail.Is(err, fail.Usage) {
		t.Errorf("an image is chosen: %v", err)
	}
}

// An image of a server in one archive that is too large is refused with the limit, whichever
// end of the pipe between the archive and the layer notices it first.
func TestAnImageOfAServerThatIsTooLarge(t *testing.T) {
	s := newStore(t, Options{})
	p := anImage(t, "20260101", "x")
	p.Files = map[string][]byte{"incus_combined.tar.gz": roottest.Archive(t, roottest.File("metadata.yaml", "{}"), roottest.Dir("rootfs/"), roottest.File("rootfs/large", strings.Repeat("x", 1<<20)))}
	imageServer(t, s, p)
	if _, err := pullLab(t, s, "test", PullOptions{MaxSize: 1 << 16}); !fail.Is(err, fail.Usage) {
		t.Errorf("got %v", err)
	}
}

// squashfsOf returns an image of squashfs with the files of a tar archive.
func squashfsOf(t *testing.T, archive []byte) []byte {
	t.Helper()
	mksquashfs, err := exec.LookPath("mksquashfs")
	if err != nil {
		t.Skip("needs mksquashfs (squashfs-tools): ", err)
	}
	dir := filepath.Join(t.TempDir(), "root")
	roottest.Must(t, os.Mkdir(dir, 0o755))
	_, err = layer.Unpack(t.Context(), dir, nil, bytes.NewReader(archive), nil)
	roottest.Must(t, err)
	image := dir + ".squashfs"
	if out, err := exec.Command(mksquashfs, dir, image, "-quiet", "-no-progress", "-xattrs").CombinedOutput(); err != nil {
		t.Fatalf("mksquashfs: %v: %s", err, out)
	}
	content, err := os.ReadFile(image)
	roottest.Must(t, err)
	return content
}

// A download that breaks goes on where it was, also in the next pull.
func TestPullOfAnImageServerIsResumed(t *testing.T) {
	s := newStore(t, Options{})
	h := imageServer(t, s, anImage(t, "20260101", strings.Repeat("text", 1<<10)))
	h.Spoil = func(w http.ResponseWriter, req *http.Request, body []byte) bool {
		if !strings.HasSuffix(req.URL.Path, "root.tar.xz") {
			return false
		}
		if req.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		w.Header().Set("Content-Length", "1000000")
		w.Write(body[:100])
		return true // the server closes the connection
	}
	if _, err := pullLab(t, s, "test", PullOptions{}); err == nil || !strings.Contains(err.Error(), "after 100 of") {
		t.Fatalf("broken: %v", err)
	}
	h.Spoil = nil
	h.Asked()
	if _, err := pullLab(t, s, "test", PullOptions{}); err != nil {
		t.Fatal(err)
	}
	resumed := false
	for _, line := range h.Asked() {
		resumed = resumed || strings.Contains(line, "root.tar.xz bytes=100-")
	}
	if !resumed {
		t.Error("it began at the beginning")
	}
	unneeded(t, s)
}

func TestBadImagesOfAServer(t *testing.T) {
	wrong := anImage(t, "20260101", "x")
	wrong.WrongDigest = true
	mixed := anImage(t, "20260101", "x")
	mixed.Files["squashfs"], mixed.NoCombined = nil, true
	noMetadata := anImage(t, "20260101", "x")
	noMetadata.Files["incus.tar.xz"] = xzOf(t, roottest.Archive(t, roottest.File("other", "")))
	noTar := anImage(t, "20260101", "x")
	noTar.Files["root.tar.xz"] = []byte("text")
	outside := anImage(t, "20260101", "x")
	outside.Files = map[string][]byte{"incus_combined.tar.gz": roottest.Archive(t, roottest.File("metadata.yaml", "{}"), roottest.Dir("rootfs/"), roottest.Hardlink("rootfs/a", "etc/passwd"))}
	notSquashfs := anImage(t, "20260101", "x")
	notSquashfs.Files = map[string][]byte{"incus.tar.xz": noTar.Files["incus.tar.xz"], "squashfs": bytes.Repeat([]byte("hsqs"), 1<<12)}
	for name, p := range map[string]imageserver.Product{
		"with digest": wrong, "no combined digest": mixed, "has no metadata.yaml": noMetadata, "the archive is damaged": noTar,
		"outside of its root": outside, "cannot read the image of squashfs": notSquashfs,
	} {
		if p.Files["squashfs"] != nil && os.Geteuid() != 0 {
			continue
		}
		s := newStore(t, Options{})
		imageServer(t, s, p)
		before := files(t, s)
		if _, err := pullLab(t, s, "test", PullOptions{}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		roottest.Must(t, s.Prune(t.Context(), noUsers))
		if after := files(t, s); after != before {
			t.Errorf("%s: there was\n%s\nand there is\n%s", name, before, after)
		}
	}
}

func TestRemotes(t *testing.T) {
	s := newStore(t, Options{})
	add := func(name, url string, replace bool) error {
		return s.AddRemote(t.Context(), Remote{Name: name, URL: url}, replace)
	}
	for _, c := range []struct {
		name, url string
		replace   bool
		kind      fail.Kind
	}{
		{"lab", "https://lab.example.org", false, 0}, {"lab", "https://lab.example.org", false, fail.Taken}, {"lab", "https://other.example.org", true, 0},
		{"images", "https://own.example.org", false, fail.Taken}, {"images", "https://own.example.org", true, 0},
		{"oci", "https://lab.example.org", false, fail.Usage}, {"Lab", "https://lab.example.org", false, fail.Usage}, {"x", "lab.example.org", false, fail.Usage},
	} {
		err := add(c.name, c.url, c.replace)
		if c.kind == 0 && err != nil || c.kind != 0 && !fail.Is(err, c.kind) {
			t.Errorf("%s %s: %v", c.name, c.url, err)
		}
	}
	list := func() (out string) {
		all, err := s.Remotes()
		roottest.Must(t, err)
		for _, r := range all {
			out += r.Name + "=" + r.URL + " "
		}
		return out
	}
	if got := list(); got != "images=https://own.example.org lab=https://other.example.org " {
		t.Error(got)
	}
	roottest.Must(t, s.RemoveRemote(t.Context(), "lab"))
	roottest.Must(t, s.RemoveRemote(t.Context(), "images"))
	if got := list(); got != "images=https://images.linuxcontainers.org " {
		t.Error(got)
	}
	if _, err := os.Stat(s.remotesFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no server is left, and %s is: %v", s.remotesFile(), err)
	}
	if err := s.RemoveRemote(t.Context(), "images"); !fail.Is(err, fail.State) {
		t.Error(err)
	}
	if err := s.RemoveRemote(t.Context(), "lab"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	roottest.Must(t, os.WriteFile(s.remotesFile(), []byte("{"), 0o600))
	if _, err := s.Remotes(); !fail.Is(err, fail.State) {
		t.Error(err)
	}
}

// A VPS can be created from an image that has not been pulled. A second one has the same
// template, and so has one that names the template.
func TestEnsurePulls(t *testing.T) {
	var warned []string
	s := newStore(t, Options{CertsDir: t.TempDir(), Warn: func(line string) { warned = append(warned, line) }})
	h := &imageserver.Server{}
	p := anImage(t, "20260101", "x")
	p.Arch = recipe.DebianName(thisArch)
	h.Serve(p)
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	dir := filepath.Join(s.o.CertsDir, server.Listener.Addr().String())
	roottest.Must(t, os.Mkdir(dir, 0o755))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	roottest.Must(t, os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o644))
	roottest.Must(t, s.AddRemote(t.Context(), Remote{Name: "lab", URL: server.URL}, false))
	im, err := s.Ensure(t.Context(), "lab:test/7")
	if err != nil || im.Name != "test-7" || len(warned) != 2 || warned[0] != "no template is from lab:test/7 yet; pulling it as test-7" {
		t.Fatalf("%+v, %v, warned %q", im, err, warned)
	}
	h.Asked()
	for _, text := range []string{"lab:test/7", "test-7"} {
		if again, err := s.Ensure(t.Context(), text); err != nil || again.Digest != im.Digest || len(h.Asked()) != 0 {
			t.Errorf("%s: %+v, %v", text, again, err)
		}
	}
	if _, err := s.Ensure(t.Context(), "nix:test/7"); !fail.Is(err, fail.NotFound) {
		t.Errorf("a missing server: %v", err)
	}
	mustImport(t, s, "test-8", roottest.Rootfs(t), ImportOptions{})
	p.Aliases = "test/8"
	h.Serve(p)
	if _, err := s.Ensure(t.Context(), "lab:test/8"); !fail.Is(err, fail.Taken) {
		t.Errorf("another template has the name: %v", err)
	}
}
