//go:build integration

package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A VPS is created from a file, which is imported once, and again when it has changed.
func TestTemplateFromAFile(t *testing.T) {
	hostAsBefore(t)
	dir := t.TempDir()
	base := name(t, "file") // of the templates
	template := base + "-rootfs"
	file := filepath.Join(dir, template+".tar.gz")
	pack := func(word string) {
		t.Helper()
		vps := create(t, "busybox")
		made := base + "-made"
		must(t, "start", "--wait", vps)
		sh(t, vps, "echo "+word+" >/etc/word")
		must(t, "stop", vps)
		must(t, "template", "create", made, "--from", vps)
		must(t, "template", "export", "--force", "--format", "rootfs", made, file)
		must(t, "template", "export", "--force", "--format", "docker-archive", made, filepath.Join(dir, "saved.tar"))
		must(t, "template", "remove", made)
		destroy(t, vps)
	}
	t.Cleanup(func() {
		for _, n := range []string{template, base + "-made"} {
			if r := try("template", "remove", n); r.status != 0 && r.status != 3 {
				t.Error(r)
			}
		}
	})
	from := func(text, says string) string {
		t.Helper()
		vps := name(t, "of-file")
		ctx, cancel := context.WithTimeout(context.Background(), usual)
		defer cancel()
		args := []string{"create", "--network", "none", "--template", text, vps}
		cmd := command(ctx, args...)
		cmd.Dir = dir
		r := finish(cmd, args)
		if r.status != 0 || says == "" && strings.Contains(r.errOut, "import") || !strings.Contains(r.errOut, says) {
			t.Fatal(r)
		}
		t.Cleanup(func() { destroy(t, vps) })
		return vps
	}
	boots := func(vps, word string) {
		t.Helper()
		must(t, "start", "--wait", vps)
		if got := sh(t, vps, "cat /etc/word"); got != word {
			t.Errorf("the VPS has %q", got)
		}
		destroy(t, vps)
	}
	pack("one")
	first := from(file, "no template is from "+file+" yet; importing it as "+template)
	if got := inspect(t, first).Template; got != template {
		t.Errorf("its template is %s", got)
	}
	from("./"+template+".tar.gz", "")
	pack("two")
	changed := from("./"+template+".tar.gz", file+" has changed; importing it again as "+template)
	boots(first, "one")
	boots(changed, "two")

	if r := try("run", "--rm", "--network", "none", "--template", "docker-archive:"+filepath.Join(dir, "saved.tar"), "--", "cat", "/etc/word"); r.status != 0 || r.out != "two\n" || !strings.Contains(r.errOut, "importing it as saved") {
		t.Error(r)
	}
	must(t, "template", "remove", "saved")
	refused(t, 3, "no such file", "create", "--template", filepath.Join(dir, "missing.tar"), name(t, "none"))
	if err := os.WriteFile(filepath.Join(dir, "text.tar"), []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := try("create", "--template", filepath.Join(dir, "text.tar"), name(t, "none")); r.status != 2 || !strings.Contains(r.errOut, "import "+filepath.Join(dir, "text.tar")) {
		t.Error(r)
	}
}
