//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// theirs runs a tool of other people's, which has to succeed.
func theirs(t *testing.T, cmd ...string) string {
	t.Helper()
	out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// What croft writes, skopeo and umoci read; what they write, croft reads; and it
// is the same system each time.
func TestFormats(t *testing.T) {
	hostAsBefore(t)
	skopeo, umoci := tool(t, "skopeo"), tool(t, "umoci")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	here := func(args ...string) string { return must(t, args...) }
	create(t, "busybox")
	// Two layers, the second with a whiteout.
	vps := boot(t, "busybox", "--network", "none")
	sh(t, vps, "rm /etc/inittab.example /etc/motd 2>/dev/null; rm -r /var; mkdir /var; echo new >/var/new; ln /var/new /etc/new; chown 5:6 /var/new")
	must(t, "stop", "--fast", vps)
	template := name(t, "formats")
	must(t, "template", "create", "--keep-identity", template, "--from", vps)
	t.Cleanup(func() { must(t, "template", "remove", template) })
	want := treeOf(t, here, vps)
	was := digestOfTemplate(t, template)

	back := func(what, digest string, args ...string) {
		t.Helper()
		again := name(t, "back")
		must(t, append([]string{"template", "import", again}, args...)...)
		defer must(t, "template", "remove", again)
		if got := digestOfTemplate(t, again); digest != "" && got != digest {
			t.Errorf("%s: it has digest %s, and had %s", what, got, digest)
		}
		second := create(t, again, "--network", "none")
		sameTree(t, what, treeOf(t, here, second), want)
		must(t, "destroy", second)
	}
	for _, c := range []struct{ format, file, digest string }{
		{"oci-archive", "a.tar", was}, {"oci", "layout", was}, {"docker-archive", "d.tar", ""}, {"rootfs", "r.tar", ""},
	} {
		must(t, "template", "export", template, at(c.file), "--format", c.format)
		back(c.format, c.digest, at(c.file))
	}
	must(t, "template", "export", template, at("gzip"), "--format", "oci", "--gzip")
	refused(t, 4, "not empty", "template", "export", template, at("gzip"), "--format", "oci")

	// skopeo reads all of them, and writes them.
	for _, from := range []string{"oci-archive:" + at("a.tar"), "oci:" + at("layout"), "docker-archive:" + at("d.tar"), "oci:" + at("gzip")} {
		kind, _, _ := strings.Cut(from, ":")
		to := at("skopeo-" + strings.ReplaceAll(strings.TrimPrefix(from, kind+":"+dir+"/"), ".", "-"))
		theirs(t, skopeo, "--insecure-policy", "copy", from, "oci:"+to+":theirs")
		back("skopeo's copy of "+from, "", to)
	}
	theirs(t, skopeo, "--insecure-policy", "copy", "oci:"+at("gzip"), "docker-archive:"+at("theirs.tar")+":x/y:1")
	back("skopeo's docker-archive", "", at("theirs.tar"), "--image", "docker.io/x/y:1")
	theirs(t, skopeo, "--insecure-policy", "copy", "oci:"+at("gzip"), "oci-archive:"+at("theirs-oci.tar"))
	back("skopeo's oci-archive", "", at("theirs-oci.tar"))

	// umoci unpacks what croft writes, and croft reads the layer that it adds.
	bundle := at("bundle")
	theirs(t, umoci, "unpack", "--image", at("gzip")+":"+template, bundle)
	if text, err := os.ReadFile(filepath.Join(bundle, "rootfs/var/new")); err != nil || string(text) != "new\n" {
		t.Errorf("umoci unpacked %q, %v", text, err)
	}
	if _, err := os.Lstat(filepath.Join(bundle, "rootfs/var/log")); err == nil {
		t.Error("umoci unpacked what was removed")
	}
	if err := os.WriteFile(filepath.Join(bundle, "rootfs/etc/umoci"), []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(bundle, "rootfs/etc/new")); err != nil {
		t.Fatal(err)
	}
	theirs(t, umoci, "repack", "--image", at("gzip")+":changed", bundle)
	again := name(t, "back")
	refused(t, 2, "--image", "template", "import", again, at("gzip"))
	must(t, "template", "import", again, at("gzip"), "--image", "changed")
	second := create(t, again, "--network", "none")
	got := treeOf(t, here, second)
	if got["/etc/umoci"] == "" || got["/etc/new"] != "" || got["/var/new"] == "" {
		t.Errorf("of umoci's layer: %q, %q, %q", got["/etc/umoci"], got["/etc/new"], got["/var/new"])
	}
	must(t, "destroy", second)
	must(t, "template", "remove", again)
}

func digestOfTemplate(t *testing.T, name string) string {
	t.Helper()
	var image struct{ Digest string }
	if err := json.Unmarshal([]byte(must(t, "template", "inspect", name)), &image); err != nil {
		t.Fatal(err)
	}
	return image.Digest
}
