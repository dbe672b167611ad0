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
		for _, n := range []string{template, base + "-made", "saved"} {
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
	must(t, "template", "remove", "saved") // at once: a run --rm has left the end of its VPS to its monitor
	refused(t, 3, "no such file", "create", "--template", filepath.Join(dir, "missing.tar"), name(t, "none"))
	if err := os.WriteFile(filepath.Join(dir, "text.tar"), []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := try("create", "--template", filepath.Join(dir, "text.tar"), name(t, "none")); r.status != 2 || !strings.Contains(r.errOut, "import "+filepath.Join(dir, "text.tar")) {
		t.Error(r)
	}
}

// A template keeps the file that it was imported from: croft sees that the file has changed, and
// imports it again.
func TestUpdateOfAnImportedFile(t *testing.T) {
	hostAsBefore(t)
	dir := t.TempDir()
	template := name(t, "imported")
	t.Cleanup(func() { try("template", "remove", template) })
	file := filepath.Join(dir, "rootfs.tar")
	must(t, "template", "export", "--format", "rootfs", "busybox", file)
	must(t, "template", "import", template, file, "--env", "WORD=kept")
	if out := must(t, "template", "outdated", template); !strings.Contains(out, "current") {
		t.Error(out)
	}
	shell(t, "cd "+dir+" && mkdir -p etc && echo new >etc/word && tar -rf rootfs.tar etc/word")
	if r := try("template", "outdated", template); r.status != 12 || !strings.Contains(r.out, file) || !strings.Contains(r.errOut, "hint: croft template update "+template) {
		t.Error(r)
	}
	if out := must(t, "template", "update", template); !strings.HasPrefix(out, template+"@sha256:") {
		t.Errorf("the update prints %q", out)
	}
	if r := try("template", "update", template); r.status != 0 || r.out != "" || !strings.Contains(r.errOut, "is up to date") {
		t.Error(r)
	}
	if out := must(t, "run", "--rm", "--network", "none", "--template", template, "--", "sh", "-c", "cat /etc/word; tr '\\0' '\\n' </proc/1/environ"); !strings.HasPrefix(out, "new\n") || !strings.Contains(out, "WORD=kept") {
		t.Errorf("a VPS of it has %q", out)
	}
	if err := os.Rename(file, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "template", "outdated", template); !strings.Contains(out, "unknown") || !strings.Contains(out, "is gone") {
		t.Error(out)
	}
	refused(t, 3, "no such file", "template", "update", template)
	shell(t, strings.Join(append([]string{world.croft}, where(world.root, world.run)...), " ")+" template import --replace "+template+" - <"+filepath.Join(dir, "moved"))
	refused(t, 5, "imported from standard input", "template", "update", template)
}

// The directory of a root filesystem is not imported, and the error has the command that does it.
func TestTemplateFromARootDirectory(t *testing.T) {
	hostAsBefore(t)
	base := name(t, "rootdir")
	dir := filepath.Join(t.TempDir(), base)
	shell(t, "mkdir "+dir+" && "+world.croft+" --root "+world.root+" template export busybox - --format rootfs | tar -C "+dir+" -xf -")
	for want, args := range map[string][]string{
		base:        {"create", "--template", dir, name(t, "of-rootdir")},
		base + "-2": {"template", "import", base + "-2", dir},
	} {
		r := try(args...)
		checkRefusal(t, r, 2, "is the directory of a root filesystem")
		_, hint, _ := strings.Cut(r.errOut, "hint: ")
		hint = strings.TrimSpace(hint)
		if !strings.HasPrefix(hint, "tar -C "+dir+" -c . | croft template import "+want+" -") {
			t.Fatal(r)
		}
		t.Cleanup(func() { try("template", "remove", want) })
		shell(t, strings.Replace(hint, "croft", strings.Join(append([]string{world.croft}, where(world.root, world.run)...), " "), 1))
		if out := must(t, "run", "--rm", "--network", "none", "--template", want, "--", "echo", "runs"); out != "runs" {
			t.Errorf("%s: %s", want, out)
		}
	}
}
