//go:build integration

package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
)

// The dates of the snapshots that the archive of these tests has.
const (
	earlyDate = "20260101T000000Z"
	lateDate  = "20260201T083000Z"
)

// A datedArchive is a package archive of one suite, test, as it was on two dates. The package apt
// is a whole system, that of the template debian-12. The version of each other package is
// the date.
type datedArchive struct {
	t      *testing.T
	dir    string
	key    string // that signs it, armored
	signer *openpgp.Entity
}

// serveDates makes such an archive and returns it, and the URL of a mirror.
func serveDates(t *testing.T) (*datedArchive, string) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(world.root), "archive-") // beside the layers, for links
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := &datedArchive{t: t, dir: dir}
	if a.signer, err = openpgp.NewEntity("test", "", "test@example.org", nil); err != nil {
		t.Fatal(err)
	}
	var key bytes.Buffer
	w, err := armor.Encode(&key, openpgp.PublicKeyType, nil)
	if err == nil {
		err = a.signer.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	a.key = key.String()
	system := a.system()
	for _, date := range []string{earlyDate, lateDate} {
		a.freeze(date, system)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	return a, server.URL + "/{{snapshot}}/debian"
}

func (a *datedArchive) run(name string, args ...string) {
	a.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		a.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func (a *datedArchive) write(name, text string) {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// pack makes a package of the files in a directory of the archive, and returns its file.
func (a *datedArchive) pack(tree, name, version, more string) string {
	a.t.Helper()
	a.write(tree+"/DEBIAN/control", fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Test <test@example.org>\nDescription: for a test\n%s", name, version, goruntime.GOARCH, more))
	file := filepath.Join(a.dir, tree+".deb")
	a.run("dpkg-deb", "--root-owner-group", "-Znone", "--build", filepath.Join(a.dir, tree), file)
	return file
}

// system packs the files of debian-12 without those that are of no use here.
func (a *datedArchive) system() string {
	a.t.Helper()
	layers, _ := templateLayers(a.t, "debian-12")
	from := filepath.Join(world.root, "templates", "layers", strings.ReplaceAll(layers[0], ":", "/"))
	tree := filepath.Join(a.dir, "system")
	a.run("cp", "--archive", "--link", from, tree)
	for _, gone := range []string{"dev", "var/lib/dpkg", "var/lib/apt", "etc/apt", "usr/share/doc", "usr/share/locale", "usr/share/zoneinfo", "usr/share/man", "usr/share/i18n"} {
		if err := os.RemoveAll(filepath.Join(tree, gone)); err != nil {
			a.t.Fatal(err)
		}
	}
	return a.pack("system", "apt", "1", "Essential: yes\n")
}

// freeze makes the archive of a date. Its index has expired.
func (a *datedArchive) freeze(date, system string) {
	a.t.Helper()
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		a.t.Fatal(err)
	}
	debs := []string{system}
	for _, name := range []string{"word", "more"} {
		tree := name + "-" + date
		a.write(tree+"/etc/"+name, date+"\n")
		debs = append(debs, a.pack(tree, name, "1."+strings.ToLower(date), ""))
	}
	var packages strings.Builder
	for _, deb := range debs {
		base := filepath.Base(deb)
		if err := os.MkdirAll(filepath.Join(a.dir, date, "debian", "pool"), 0o755); err != nil {
			a.t.Fatal(err)
		}
		if err := os.Link(deb, filepath.Join(a.dir, date, "debian", "pool", base)); err != nil {
			a.t.Fatal(err)
		}
		control, err := exec.Command("dpkg-deb", "--field", deb).Output()
		if err != nil {
			a.t.Fatal(err)
		}
		text, err := os.ReadFile(deb)
		if err != nil {
			a.t.Fatal(err)
		}
		fmt.Fprintf(&packages, "%sFilename: pool/%s\nSize: %d\nSHA256: %x\n\n", control, base, len(text), sha256.Sum256(text))
	}
	index := "main/binary-" + goruntime.GOARCH + "/Packages"
	a.write(date+"/debian/dists/test/"+index, packages.String())
	release := fmt.Sprintf("Origin: Debian\nSuite: test\nCodename: test\nDate: %s\nValid-Until: %s\nArchitectures: %s\nComponents: main\nSHA256:\n %x %d %s\n",
		at.Format(time.RFC1123), at.AddDate(0, 0, 7).Format(time.RFC1123), goruntime.GOARCH, sha256.Sum256([]byte(packages.String())), packages.Len(), index)
	var signed bytes.Buffer
	w, err := clearsign.Encode(&signed, a.signer.PrivateKey, nil)
	if err == nil {
		_, err = w.Write([]byte(release))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(date+"/debian/dists/test/InRelease", signed.String())
}

// Builds with the packages of a date give the same image each time, and those of that date.
func TestBuildFromASnapshot(t *testing.T) {
	hostAsBefore(t)
	needs(t, "debian-12")
	archive, mirror := serveDates(t)
	base, layer := name(t, "dated"), name(t, "over")
	indented := strings.ReplaceAll(strings.TrimSpace(archive.key), "\n", "\n      ")
	_, run := withRecipes(t, map[string]string{
		base: `
distribution: debian
release: "12"
suite: test
components: [main]
released: 2023-06-10
init: systemd
packages: [word]
key: |
      ` + indented + `
files:
  - path: /etc/apt/trusted.gpg.d/test.asc
    content: |
      ` + indented + "\nclean: [/etc/apt/apt.conf.d/99mmdebstrap]\n",
		layer: "from: " + base + "\npackages: [more]\nsnapshot: 2026-01-01\n",
	})
	t.Cleanup(func() {
		for _, n := range []string{layer, base} {
			try("template", "remove", n)
		}
	})
	build := func(name string, options ...string) string {
		t.Helper()
		r := run(append([]string{"template", "build", name, "--mirror", mirror}, options...)...)
		if r.status != 0 {
			t.Fatal(r)
		}
		return r.out
	}
	has := func(template, file, want string) {
		t.Helper()
		layers, _ := templateLayers(t, template)
		var got []byte
		for _, l := range layers {
			if text, err := os.ReadFile(filepath.Join(world.root, "templates", "layers", strings.ReplaceAll(l, ":", "/"), file)); err == nil {
				got = text
			}
		}
		if string(got) != want {
			t.Errorf("%s has %q in %s, and not %q", template, got, file, want)
		}
	}
	first := build(base, "--snapshot", "2026-01-01")
	has(base, "etc/word", earlyDate+"\n")
	has(base, "etc/apt/sources.list", "deb http://ftp.debian.org/debian test main\ndeb http://ftp.debian.org/debian test-updates main\ndeb http://security.debian.org/debian-security test-security main\n")
	late := build(base, "--snapshot", lateDate)
	has(base, "etc/word", lateDate+"\n")
	if again := build(base, "--snapshot", earlyDate); again != first || late == first {
		t.Errorf("the digests are %s, %s and again %s", first, late, again)
	}
	over := build(layer)
	has(layer, "etc/more", earlyDate+"\n")
	if again := build(layer, "--no-cache"); again != over {
		t.Errorf("a layer has the digests %s and %s", over, again)
	}

	// A new store: the template below is missing, and is built with the same date.
	must(t, "template", "remove", layer)
	must(t, "template", "remove", base)
	must(t, "template", "prune")
	if again := build(layer); again != over {
		t.Errorf("a layer and what is below it have the digests %s and %s", over, again)
	}
	if r := run("template", "update", layer, "--snapshot", lateDate); r.status != 0 || r.out == over || r.out == "" {
		t.Error(r)
	}
	has(layer, "etc/more", lateDate+"\n")

	checkRefusal(t, run("template", "build", base, "--snapshot", "2026-01-01", "--mirror", "http://127.0.0.1:1/debian"), 2, "no {{snapshot}}")
	checkRefusal(t, run("template", "build", "fedora-43", "--snapshot", "2026-01-01"), 2, "no archive of snapshots of fedora")
	checkRefusal(t, run("template", "build", base, "--snapshot", "yesterday"), 2, "invalid date")
}
