package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spdx/tools-golang/json"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
)

const (
	holderPath  = "../../runtime/holder/embedded/holder"
	busyboxPath = "../../template/busybox/program/busybox"
)

// croftOf writes a program that embeds others, as croft does, and returns its path. The
// program is this test: it has modules.
func croftOf(t *testing.T, parts ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	path := filepath.Join(t.TempDir(), "croft")
	if err := os.WriteFile(path, all, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// described writes the document of a program and reads it again.
func described(t *testing.T, croft string) (*spdx.Document, []byte) {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", "1577836800")
	b, err := read(croft, holderPath, busyboxPath)
	if err != nil {
		t.Fatal(err)
	}
	b.version = "v1.2.3"
	path := filepath.Join(t.TempDir(), "croft.spdx.json")
	if err := write(path, b); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var d spdx.Document
	if err := json.ReadInto(bytes.NewReader(text), &d); err != nil {
		t.Fatal(err)
	}
	return &d, text
}

// The document names all modules of the program, and what is linked with it or in it.
func TestDocumentIsComplete(t *testing.T) {
	croft := croftOf(t, holderPath, busyboxPath)
	d, _ := described(t, croft)
	checkDocument(t, d)
	info, err := buildinfo.ReadFile(croft)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 {
		t.Fatal("the program has no module")
	}
	want := []string{"croft", "croft-holder", "busybox", "std", "libseccomp"}
	for _, m := range info.Deps {
		want = append(want, m.Path)
	}
	for _, name := range want {
		i := slices.IndexFunc(d.Packages, func(p *spdx.Package) bool { return p.PackageName == name })
		if i < 0 {
			t.Errorf("the document does not name %s", name)
			continue
		}
		p := d.Packages[i]
		if p.PackageVersion == "" || p.PackageLicenseDeclared == unknown {
			t.Errorf("%s has the version %q and the license %q", name, p.PackageVersion, p.PackageLicenseDeclared)
		}
	}
}

// Equal programs have equal documents, and other programs have another name of the document.
func TestDocumentIsReproducible(t *testing.T) {
	one, text := described(t, croftOf(t, holderPath, busyboxPath))
	if _, again := described(t, croftOf(t, holderPath, busyboxPath)); !bytes.Equal(text, again) {
		t.Errorf("two documents differ:\n%s\n%s", text, again)
	}
	if one.CreationInfo.Created != "2020-01-01T00:00:00Z" {
		t.Errorf("the document is of %s", one.CreationInfo.Created)
	}
	if other, _ := described(t, croftOf(t, holderPath, busyboxPath, "main.go")); other.DocumentNamespace == one.DocumentNamespace {
		t.Error("the documents of two programs have one name")
	}
}

func TestReadFails(t *testing.T) {
	for _, c := range []struct{ date, want string }{
		{"1577836800", "does not embed it"},
		{"yesterday", `invalid SOURCE_DATE_EPOCH "yesterday"`},
		{"", "invalid SOURCE_DATE_EPOCH"},
	} {
		t.Setenv("SOURCE_DATE_EPOCH", c.date)
		if _, err := read(croftOf(t, holderPath), holderPath, busyboxPath); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("SOURCE_DATE_EPOCH=%s: %v, want %q", c.date, err, c.want)
		}
	}
}

func TestDocumentOfForeignParts(t *testing.T) {
	d := document(build{
		name: "croft", version: "v1", goVersion: "go1.2.3", busyboxVersion: "1.36", time: time.Unix(0, 0).UTC(),
		modules: []goModule{{"example.com/A/b", "v1.0.0+incompatible", "h1:x", []string{"BSD-3-Clause", "MPL-2.0"}}},
		c:       cLibraries{seccomp: "2.5", libc: libcOf(""), distribution: distribution("NAME=x\nID=\"debian\"\n"), sources: map[string]string{"busybox": "busybox@1:1.36+b1"}},
	})
	checkDocument(t, d)
	var got []string
	for _, p := range d.Packages {
		for _, r := range p.PackageExternalReferences {
			got = append(got, r.Locator+" "+p.PackageLicenseConcluded)
		}
	}
	want := []string{
		"pkg:generic/croft@v1 Apache-2.0", "pkg:deb/debian/busybox@1%3A1.36%2Bb1?arch=source GPL-2.0-only", "pkg:golang/std@1.2.3 BSD-3-Clause",
		"pkg:golang/example.com/a/b@v1.0.0%2Bincompatible BSD-3-Clause AND MPL-2.0", "pkg:generic/libseccomp@2.5 LGPL-2.1-only", "pkg:generic/musl MIT",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if c := libcOf("glibc 2.36\n"); c != (cLibrary{"glibc", "2.36", "LGPL-2.1-or-later"}) {
		t.Errorf("the C library is %v", c)
	}
}

// checkDocument checks what SPDX's schema and its specification require.
func checkDocument(t *testing.T, d *spdx.Document) {
	t.Helper()
	match := func(what, value, expression string) {
		t.Helper()
		if !regexp.MustCompile("^(" + expression + ")$").MatchString(value) {
			t.Errorf("%s is %q, want %s", what, value, expression)
		}
	}
	match("spdxVersion", d.SPDXVersion, `SPDX-2\.3`)
	match("dataLicense", d.DataLicense, `CC0-1\.0`)
	match("SPDXID", string(d.SPDXIdentifier), "DOCUMENT")
	match("name", d.DocumentName, ".+")
	match("documentNamespace", d.DocumentNamespace, `[a-z]+:[^#\s]+`)
	match("created", d.CreationInfo.Created, `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	if len(d.CreationInfo.Creators) == 0 {
		t.Error("the document has no creator")
	}
	related := map[string]int{}
	for _, r := range d.Relationships {
		match("relationshipType", r.Relationship, "DESCRIBES|CONTAINS|STATIC_LINK")
		related[string(r.RefB.ElementRefID)]++
	}
	for _, p := range d.Packages {
		id := string(p.PackageSPDXIdentifier)
		match("SPDXID of "+p.PackageName, id, `[A-Za-z0-9.-]+`)
		match("name of "+id, p.PackageName, ".+")
		match("downloadLocation of "+id, p.PackageDownloadLocation, unknown)
		match("license of "+id, p.PackageLicenseConcluded, `[A-Za-z0-9.-]+( AND [A-Za-z0-9.-]+)*`)
		match("purpose of "+id, p.PrimaryPackagePurpose, "APPLICATION|LIBRARY")
		if p.FilesAnalyzed {
			t.Errorf("%s has files that were analyzed", id)
		}
		for _, r := range p.PackageExternalReferences {
			match("referenceCategory of "+id, r.Category, "PACKAGE-MANAGER")
			match("referenceType of "+id, r.RefType, "purl")
			match("referenceLocator of "+id, r.Locator, `pkg:(golang|generic|deb)/[^\s#@]+(@[^\s#@]+)?`)
		}
		for _, c := range p.PackageChecksums {
			match("checksum of "+id, string(c.Algorithm)+" "+c.Value, "SHA1 [0-9a-f]{40}|SHA256 [0-9a-f]{64}")
		}
		if related[id] != 1 { // an identifier that two packages have fails, too
			t.Errorf("%s has %d relationships to what it is in", id, related[id])
		}
	}
	if err := spdxlib.ValidateDocument(d); err != nil {
		t.Error(err)
	}
}
