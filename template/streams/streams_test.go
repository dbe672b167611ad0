package streams

import (
	"bytes"
	"crypto"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"croft/internal/fail"
	"croft/template/streams/imageserver"
	"croft/template/transfer"
)

func aProduct(name, aliases, arch, serial string, files ...string) imageserver.Product {
	p := imageserver.Product{Name: name, Aliases: aliases, Arch: arch, Serial: serial, OS: strings.SplitN(name, ":", 2)[0], Files: map[string][]byte{}}
	for _, f := range files {
		p.Files[f] = []byte(name + serial + f)
	}
	return p
}

func aServer(t *testing.T, all ...imageserver.Product) (*imageserver.Server, string) {
	s := &imageserver.Server{}
	s.Serve(all...)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func someProducts() []imageserver.Product {
	return []imageserver.Product{
		aProduct("debian:trixie:amd64:default", "debian/13/default, debian/13,debian/trixie", "amd64", "20260101_05:24", "incus.tar.xz", "root.tar.xz", "squashfs", "disk-kvm.img"),
		aProduct("debian:trixie:amd64:default", "", "amd64", "20260103_05:24", "incus.tar.xz", "squashfs"),
		aProduct("debian:trixie:amd64:default", "", "amd64", "20260104_05:24", "incus.tar.xz", "disk-kvm.img"),
		aProduct("debian:trixie:amd64:cloud", "debian/13/cloud", "amd64", "20260101_05:24", "incus.tar.xz", "root.tar.xz", "squashfs"),
		aProduct("debian:trixie:arm64:default", "debian/13/default,debian/13", "arm64", "20260102_05:24", "lxd.tar.xz", "root.tar.xz"),
		aProduct("own:1:amd64:default", "own", "amd64", "20250101", "incus_combined.tar.gz"),
		aProduct("vm:1:amd64:default", "vm", "amd64", "20250101", "incus.tar.xz", "disk1.img"),
	}
}

func images(t *testing.T, url string, o Options) []Image {
	t.Helper()
	o.Insecure = true
	s, err := Open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A catalogue has the newest version of each product that has files for containers.
func TestImages(t *testing.T) {
	_, url := aServer(t, someProducts()...)
	all := images(t, url, Options{})
	var got []string
	for _, im := range all {
		got = append(got, strings.Join([]string{im.Product, im.Name(), im.Serial, string(im.Root.Kind), string(im.Meta.Kind)}, " "))
	}
	want := []string{
		"debian:trixie:amd64:cloud debian/13/cloud 20260101_05:24 tar tar",
		"debian:trixie:amd64:default debian/13 20260103_05:24 squashfs tar",
		"debian:trixie:arm64:default debian/13 20260102_05:24 tar tar",
		"own:1:amd64:default own 20250101  unified",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestFindAndSearch(t *testing.T) {
	_, url := aServer(t, someProducts()...)
	all := images(t, url, Options{})
	for _, c := range []struct{ name, arch, want, err string }{
		{"debian/13", "amd64", "debian:trixie:amd64:default", ""},
		{"debian/13", "arm64", "debian:trixie:arm64:default", ""},
		{"debian/13/arm64", "amd64", "debian:trixie:arm64:default", ""},
		{"debian:trixie:amd64:cloud", "amd64", "debian:trixie:amd64:cloud", ""},
		{"debian/13", "riscv64", "", `no image "debian/13" for riscv64, only for amd64, arm64`},
		{"debian/99", "amd64", "", `no image "debian/99"; there is debian/13, debian/13/cloud`},
		{"vm", "amd64", "", `no image "vm"`},
	} {
		im, err := Find(all, c.name, c.arch)
		if c.err == "" && err != nil || im.Product != c.want || c.err != "" && (err == nil || err.Error() != c.err || !fail.Is(err, fail.NotFound)) {
			t.Errorf("%s: %q, %v", c.name, im.Product, err)
		}
	}
	var found []string
	for _, im := range Search(all, []string{"DEBIAN", "cloud"}, "") {
		found = append(found, im.Name())
	}
	if !slices.Equal(found, []string{"debian/13/cloud"}) || len(Search(all, nil, "amd64")) != 3 || len(Search(all, []string{"debian", "none"}, "")) != 0 {
		t.Errorf("search finds %v", found)
	}
}

// The catalogue comes from the cache as long as the server says that it is the same. A
// damaged file of the cache counts as none.
func TestCache(t *testing.T) {
	server, url := aServer(t, someProducts()...)
	o := Options{Cache: t.TempDir() + "/catalogues"}
	first := images(t, url, o)
	server.Asked()
	if again := images(t, url, o); !reflect.DeepEqual(first, again) {
		t.Error("the cache has another catalogue")
	}
	if got := server.Asked(); !slices.Equal(got, []string{"/streams/v1/index.json 304", "/streams/v1/images.json 304"}) {
		t.Errorf("asked %q", got)
	}
	files, err := os.ReadDir(o.Cache)
	if err != nil || len(files) != 2 {
		t.Fatalf("the cache has %v, %v", files, err)
	}
	for _, f := range files {
		if err := os.Truncate(filepath.Join(o.Cache, f.Name()), 200); err != nil {
			t.Fatal(err)
		}
	}
	if again := images(t, url, o); !reflect.DeepEqual(first, again) {
		t.Error("after damage there is another catalogue")
	}
	server.Serve(aProduct("new:1:amd64", "new", "amd64", "20260101", "incus.tar.xz", "squashfs"))
	if all := images(t, url, o); len(all) != 1 || all[0].Name() != "new" {
		t.Errorf("after a change: %v", all)
	}
}

func TestBadCatalogues(t *testing.T) {
	server, url := aServer(t)
	for name, p := range map[string]imageserver.Product{
		"no combined digest": {Name: "a", Arch: "amd64", Serial: "1", NoCombined: true, Files: map[string][]byte{"incus.tar.xz": nil, "squashfs": nil}},
		"the size 0":         {Name: "a", Arch: "amd64", Serial: "1", NoSize: true, Files: map[string][]byte{"incus.tar.xz": nil, "squashfs": nil}},
		"invalid path":       {Name: "a/../../..", Arch: "amd64", Serial: "1", Files: map[string][]byte{"incus.tar.xz": {1}, "squashfs": {1}}},
		"has no images":      {},
	} {
		if server.Serve(p); p.Name == "" {
			server.Serve()
		}
		s, err := Open(url, Options{Trust: transfer.Trust{Insecure: true}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Images(t.Context()); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "invalid catalogue") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"ftp://a.example", "images", "https://", "https://u:p@a.example", "https://a.example/?x=1"} {
		if _, err := Open(text, Options{}); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// With a key the catalogue must be signed by it, inside the document or beside it.
func TestSignatures(t *testing.T) {
	owner, err := openpgp.NewEntity("owner", "", "owner@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	other, err := openpgp.NewEntity("other", "", "other@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	inside := func(kind string, text []byte) []byte {
		var b bytes.Buffer
		w, err := clearsign.Encode(&b, owner.PrivateKey, nil)
		if err != nil || kind != ".sjson" {
			return nil
		}
		w.Write(text)
		w.Close()
		return b.Bytes()
	}
	beside := func(kind string, text []byte) []byte {
		var b bytes.Buffer
		if kind != ".gpg" || openpgp.DetachSign(&b, owner, bytes.NewReader(text), nil) != nil {
			return nil
		}
		return b.Bytes()
	}
	for _, c := range []struct {
		name string
		sign func(string, []byte) []byte
		keys [][]byte
		want string
	}{
		{"inside", inside, [][]byte{armored(t, owner)}, ""},
		{"beside", beside, [][]byte{armored(t, owner)}, ""},
		{"another key", inside, [][]byte{armored(t, other)}, "the signature of the catalogue is not valid"},
		{"another key beside", beside, [][]byte{armored(t, other)}, "the signature of the catalogue is not valid"},
		{"unsigned", nil, [][]byte{armored(t, owner)}, "does not sign streams/v1/index.json"},
		{"without a signature", func(_ string, text []byte) []byte { return text }, [][]byte{armored(t, owner)}, "a signed document has no signature"},
		{"no key", inside, [][]byte{[]byte("text")}, "read an OpenPGP key"},
		{"keys twice", inside, [][]byte{armored(t, owner), armored(t, owner)}, ""},
		{"keys twice, beside", beside, [][]byte{armored(t, owner), armored(t, owner)}, ""},
		{"one key of two", inside, [][]byte{armored(t, owner), armored(t, other)}, "the signature of the catalogue is not valid"},
		{"the other key of two", inside, [][]byte{armored(t, other), armored(t, owner)}, "the signature of the catalogue is not valid"},
		{"one key of two beside", beside, [][]byte{armored(t, owner), armored(t, other)}, "the signature of the catalogue is not valid"},
	} {
		server := &imageserver.Server{Sign: c.sign}
		server.Serve(someProducts()...)
		h := httptest.NewServer(server)
		s, err := Open(h.URL, Options{Trust: transfer.Trust{Insecure: true}, Keys: c.keys})
		if err == nil {
			_, err = s.Images(t.Context())
		}
		if c.want == "" && err != nil || c.want != "" && (!fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
		h.Close()
	}
}

func armored(t *testing.T, e *openpgp.Entity) []byte {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		err = e.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReferences(t *testing.T) {
	for text, want := range map[string]string{
		"images:debian/13": "debian-13", "my-server:Alpine/3.22": "alpine-3.22", "images:debian:trixie:amd64": "debian-trixie-amd64",
		"docker.io/library/debian:12": "", "oci:dir": "", "localhost:5000/x": "", "images:": "", "debian": "", "https://x": "", "1a:b": "",
	} {
		r, ok := ParseReference(text)
		if ok != (want != "") || ok && (r.TemplateName() != want || r.String() != text) {
			t.Errorf("%s: %v, %v", text, r, ok)
		}
	}
}

const someMetadata = `
architecture: x86_64
creation_date: 1750251670
properties: {os: Alpinelinux, variant: default}
templates:
  /etc/hostname: {when: [create, copy], template: hostname.tpl}
  /etc/inittab: {when: [create], template: inittab.tpl, mode: "0600", uid: "5"}
  /etc/motd: {when: [create], template: motd.tpl}
  /etc/once: {when: [start], template: inittab.tpl}
  /etc/missing: {when: [create], template: none.tpl}
  /var/lib/cloud/seed/nocloud-net/user-data: {when: [create], template: motd.tpl}
`

func TestMetadata(t *testing.T) {
	m, err := ParseMetadata([]byte(someMetadata))
	if err != nil || m.Created().Unix() != 1750251670 || m.Properties["variant"] != "default" {
		t.Fatalf("%+v, %v", m, err)
	}
	static, ignored, err := m.Files(map[string]string{"hostname.tpl": "{{ container.name }}", "inittab.tpl": "::sysinit", "motd.tpl": "{% if x %}"})
	want := []StaticFile{{Path: "etc/inittab", Text: "::sysinit", UID: 5, Mode: 0o600}}
	if err != nil || !reflect.DeepEqual(static, want) || !slices.Equal(ignored, []string{"/etc/missing", "/etc/motd", "/etc/once"}) {
		t.Errorf("%+v, %q, %v", static, ignored, err)
	}
	for _, text := range []string{"templates: {/: {when: [create], template: a}}", "templates: {/a: {when: [create], template: a, mode: '4755'}}", "templates: {/a: {when: [create], template: a, uid: x}}"} {
		m, err := ParseMetadata([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Files(map[string]string{"a": ""}); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := ParseMetadata([]byte("- a")); !fail.Is(err, fail.Usage) {
		t.Errorf("a list: %v", err)
	}
}
