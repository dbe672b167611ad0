//go:build integration

package integration

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	hostAsBefore(t)
	if got := must(t, "template", "recipe", "debian-12"); !strings.Contains(got, "bookworm") {
		t.Errorf("recipe:\n%s", got)
	}
	refused(t, 3, "no-such-recipe", "template", "recipe", "no-such-recipe")
	refused(t, 3, "no-such-recipe", "template", "build", "no-such-recipe")
	refused(t, 3, "no-such-template", "template", "inspect", "no-such-template")
	refused(t, 3, "no-such-template", "template", "remove", "no-such-template")

	vps := create(t, "busybox")
	refused(t, 5, vps, "template", "remove", "busybox")
	var image struct{ Name, Digest string }
	if err := json.Unmarshal([]byte(must(t, "template", "inspect", "busybox")), &image); err != nil || !strings.HasPrefix(image.Digest, "sha256:") {
		t.Errorf("%+v, %v", image, err)
	}
	if got := must(t, "template", "list"); !strings.Contains(got, image.Digest) {
		t.Errorf("list:\n%s", got)
	}
	if got := inspect(t, vps).Template; got != "busybox" {
		t.Errorf("it is made from %s", got)
	}
	// The same by its digest.
	same := name(t, "digest")
	must(t, "create", "--template", "busybox@"+image.Digest, same)
	destroy(t, same)
}

// A file in a tar.
type entry struct {
	tar.Header
	content []byte
}

func archive(t *testing.T, entries []entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		if e.Mode == 0 {
			e.Mode = 0o755
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// smallSystem is a root filesystem that boots: busybox, and links to it.
func smallSystem(t *testing.T) []entry {
	t.Helper()
	path, err := exec.Command("../scripts/static-busybox").Output()
	if err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile(strings.TrimSpace(string(path)))
	if err != nil {
		t.Fatal(err)
	}
	entries := []entry{{Header: tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg}, content: busybox}}
	for dir := range strings.FieldsSeq("bin sbin etc proc sys dev tmp root run var/log") {
		entries = append(entries, entry{Header: tar.Header{Name: dir + "/", Typeflag: tar.TypeDir}})
	}
	for applet := range strings.FieldsSeq("sh cat echo sleep poweroff ls stat id") {
		entries = append(entries, entry{Header: tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}})
	}
	return append(entries,
		entry{Header: tar.Header{Name: "sbin/init", Typeflag: tar.TypeSymlink, Linkname: "/bin/busybox"}},
		entry{Header: tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, content: []byte("root:x:0:0:root:/root:/bin/sh\n")},
		entry{Header: tar.Header{Name: "etc/inittab", Typeflag: tar.TypeReg, Mode: 0o644}, content: []byte("::once:/bin/echo imported\n")},
		entry{Header: tar.Header{Name: "etc/owned", Typeflag: tar.TypeReg, Mode: 0o640, Uid: 7, Gid: 8}, content: []byte("x")},
		entry{Header: tar.Header{Name: "etc/linked", Typeflag: tar.TypeLink, Linkname: "etc/owned"}},
	)
}

func TestImport(t *testing.T) {
	hostAsBefore(t)
	plain := archive(t, smallSystem(t))
	for _, c := range []struct {
		name  string
		tool  []string
		stdin bool
	}{
		{"plain", nil, false},
		{"gz", []string{"gzip", "-1"}, false},
		{"xz", []string{"xz", "-0"}, true},
		{"zst", []string{"zstd", "-1"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := plain
			if c.tool != nil {
				cmd := exec.Command(c.tool[0], c.tool[1:]...)
				cmd.Stdin = bytes.NewReader(plain)
				var err error
				if data, err = cmd.Output(); err != nil {
					t.Fatal(err)
				}
			}
			template := name(t, "imported")
			if c.stdin {
				if r := croftWithin(usual, string(data), "template", "import", template, "-"); r.status != 0 {
					t.Fatal(r)
				}
			} else {
				file := filepath.Join("/tmp", template)
				if err := os.WriteFile(file, data, 0o600); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(file)
				must(t, "template", "import", template, file)
			}
			refused(t, 4, template, "template", "import", template, "/dev/null")
			vps := name(t, "imported-vps")
			must(t, "create", "--template", template, "--network", "none", vps)
			must(t, "start", vps)
			eventually(t, "its init runs", func() bool { return strings.Contains(must(t, "logs", vps), "imported") })
			if got := in(t, vps, "stat", "-c", "%u %g %a %h", "/etc/linked"); got != "7 8 640 2" {
				t.Errorf("a file's owner, group, mode and links: %s", got)
			}
			must(t, "destroy", "--force", vps)
			must(t, "template", "remove", template)
		})
	}
}

// An archive that is damaged, or means harm, leaves nothing.
func TestBadArchives(t *testing.T) {
	hostAsBefore(t)
	good := smallSystem(t)
	plain := archive(t, good)
	compressed := func(tool ...string) []byte {
		cmd := exec.Command(tool[0], tool[1:]...)
		cmd.Stdin = bytes.NewReader(plain)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	gz, xz, zst := compressed("gzip", "-1"), compressed("xz", "-0"), compressed("zstd", "-1")
	flipped := bytes.Clone(gz)
	flipped[len(flipped)/2] ^= 0xff
	for what, data := range map[string][]byte{
		"empty":              {},
		"garbage":            bytes.Repeat([]byte("garbage!"), 1000),
		"cut":                plain[:len(plain)/2],
		"cut gz":             gz[:len(gz)/2],
		"cut xz":             xz[:len(xz)/2],
		"cut zst":            zst[:len(zst)/2],
		"flipped gz":         flipped,
		"no root filesystem": archive(t, []entry{{Header: tar.Header{Name: "a-file", Typeflag: tar.TypeReg}, content: []byte("x")}}),
	} {
		r := croftWithin(usual, string(data), "template", "import", "bad-archive", "-")
		if r.status != 2 {
			t.Errorf("%s:", what)
		}
		checkRefusal(t, r, 2, "archive")
	}
	refused(t, 3, "/no/such/file", "template", "import", "bad-archive", "/no/such/file")

	// What points outside stays inside, or is refused.
	victim := "/tmp/" + name(t, "victim")
	for what, entries := range map[string][]entry{
		"dots":     {{Header: tar.Header{Name: "../../../../../../.." + victim, Typeflag: tar.TypeReg}, content: []byte("x")}},
		"absolute": {{Header: tar.Header{Name: victim, Typeflag: tar.TypeReg}, content: []byte("x")}},
		"link": {
			{Header: tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}},
			{Header: tar.Header{Name: "out/" + filepath.Base(victim), Typeflag: tar.TypeReg}, content: []byte("x")},
		},
		"hard link": {
			{Header: tar.Header{Name: "shadow", Typeflag: tar.TypeLink, Linkname: "../../../../../../../../etc/shadow"}},
		},
	} {
		r := croftWithin(usual, string(archive(t, append(entries, good...))), "template", "import", "bad-archive", "-")
		if r.status != 0 && r.status != 2 {
			t.Errorf("%s: %s", what, r)
		}
		if _, err := os.Lstat(victim); err == nil {
			t.Errorf("%s: %s was written", what, victim)
			os.Remove(victim)
		}
		if r.status == 0 {
			must(t, "template", "remove", "bad-archive")
		}
	}
}
