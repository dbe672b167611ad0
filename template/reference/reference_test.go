package reference

import (
	"strings"
	"testing"

	theirs "github.com/distribution/reference"
)

const someDigest = "sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1"

// compare reads text with croft's reader and with that of distribution, and compares all.
func compare(t *testing.T, text string) {
	t.Helper()
	want, err := theirs.ParseNormalizedNamed(text)
	got, ours := Parse(text)
	if (err == nil) != (ours == nil) {
		t.Fatalf("%q: %v, and distribution says: %v", text, ours, err)
	}
	if err != nil {
		return
	}
	_, canonical := want.(theirs.Canonical)
	tagged, _ := want.(theirs.Tagged)
	tag := ""
	if tagged != nil {
		tag = tagged.Tag()
	}
	if got.String() != want.String() || got.Name() != want.Name() || got.NameOnly() != theirs.IsNameOnly(want) ||
		got.Domain != theirs.Domain(want) || got.Path != theirs.Path(want) || got.Tag != tag || (got.Digest != "") != canonical ||
		got.Repository().String() != theirs.TrimNamed(want).String() {
		t.Fatalf("%q: %+v, and distribution says: %+v", text, got, want)
	}
	_, err = theirs.ParseNamed(text)
	if _, ours := ParseComplete(text); (err == nil) != (ours == nil) {
		t.Fatalf("%q as a complete reference: %v, and distribution says: %v", text, ours, err)
	}
}

// FuzzParse compares with the reader of distribution.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "/", ":", "@", "ubuntu", "ubuntu:24.04", "library/ubuntu", "docker.io/ubuntu", "index.docker.io/ubuntu:x", "docker.io/a/b/c", "index.docker.io/library/a",
		"localhost/a", "localhost:5000/a:b", "localhost", "localhost:5000", "example.org", "example.org/a", "example.org:80/a/b:c", "EXAMPLE/a", "Example.org/A", "ubuntu:A", "UBUNTU",
		"[::1]/a", "[::1]:5000/a:b", "[fe80::1%eth0]/a", "[]/a", "[::1]x/a", "::1/a", "a:b/c", "a:/c", ":5000/c", "a.b:5000", "a..b/c", "-a.b/c", "a-.b/c", "a-b.c/d", "a_b.c/d", "a_b.c/d:e", "a__b.c/d", "a.b_/c",
		"a--b", "a---b", "a__b", "a___b", "a.b", "a..b", "a._b", "-a", "a-", ".a", "a.", "_a", "a_", "a-_b", "a/", "/a", "a//b", "a:b:c", "a: b", " a", "a ", "a\n", "ä", "a:ä", "é.b/c",
		"a:.b", "a:-b", "a:_b", "a:b.c-d_e", "a:" + strings.Repeat("b", 128), "a:" + strings.Repeat("b", 129), strings.Repeat("a", 247), strings.Repeat("a", 248), strings.Repeat("a", 255) + "/b",
		"x.y/" + strings.Repeat("a", 255), "x.y/" + strings.Repeat("a", 256), strings.Repeat("a", 64), strings.Repeat("a", 63) + "g", strings.Repeat("a", 64) + ":b",
		"a@" + someDigest, "a:b@" + someDigest, "x.y:1/a:b@" + someDigest, "a@", "a:@" + someDigest, "a@" + someDigest + "@" + someDigest, "a@sha256:abc", "a@sha1:" + strings.Repeat("a", 40), "a@sha512:" + strings.Repeat("a", 128),
		"a@sha384:" + strings.Repeat("b", 96), "a@sha256:" + strings.Repeat("A", 64), "a@md5:" + strings.Repeat("a", 32), "a@sha256+b64:" + strings.Repeat("a", 64), "@" + someDigest, someDigest, "x.y/@" + someDigest, "A.b/c_d.e/f-g",
	} {
		f.Add(text)
	}
	f.Fuzz(compare)
}
