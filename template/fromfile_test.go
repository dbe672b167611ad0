package template

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/roottest"
)

// A fileWorld is a store and what it warns of.
type fileWorld struct {
	*Store
	t      *testing.T
	dir    string
	warned []string
	read   int // how often a file was read whole, without an import
}

func newFileWorld(t *testing.T) *fileWorld {
	w := &fileWorld{t: t, dir: t.TempDir()}
	w.Store = newStore(t, Options{
		Warn: func(line string) { w.warned = append(w.warned, line) },
		Progress: func(u Update) {
			if strings.HasPrefix(u.Step, "reading /") {
				w.read++
			}
		},
	})
	return w
}

func (w *fileWorld) write(name string, text []byte) string {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	roottest.Must(w.t, os.WriteFile(file, text, 0o644))
	return file
}

// ensure returns the template of text, and whether it was imported now.
func (w *fileWorld) ensure(text string) (im Image, imported bool) {
	w.t.Helper()
	w.warned = nil
	im, err := w.Ensure(w.t.Context(), text)
	roottest.Must(w.t, err)
	return im, len(w.warned) > 0 && strings.Contains(w.warned[0], "importing it")
}

func (w *fileWorld) refused(text string, kind fail.Kind, want, hint string) {
	w.t.Helper()
	_, err := w.Ensure(w.t.Context(), text)
	if !fail.Is(err, kind) || !strings.Contains(err.Error(), want) || !strings.Contains(fail.HintOf(err), hint) {
		w.t.Errorf("%s: %v, hint %q", text, err, fail.HintOf(err))
		return
	}
	roottest.OneLine(w.t, err)
}

// A file is imported once. If it changes it is imported again, and an update and a check
// see that too.
func TestEnsureOfAFile(t *testing.T) {
	w := newFileWorld(t)
	file := w.write("Web_1.tar", roottest.Rootfs(t))
	first, imported := w.ensure(file)
	if !imported || first.Name != "web_1" || first.Source != file || first.Distribution != "test" {
		t.Fatalf("%+v, %q", first, w.warned)
	}
	w.read = 0
	if same, imported := w.ensure(file); imported || same.Digest != first.Digest || w.read > 0 {
		t.Errorf("the same file again: %+v, %q, read %d times", same, w.warned, w.read)
	}
	checks(t, w.Store, first.Name, Current, "")
	roottest.Must(t, os.Chtimes(file, time.Time{}, time.Unix(1, 0)))
	if same, imported := w.ensure(file); imported || same.Digest != first.Digest || w.read == 0 {
		t.Errorf("another time: %+v, %q, read %d times", same, w.warned, w.read)
	}
	t.Chdir(w.dir)
	if same, imported := w.ensure("./Web_1.tar"); imported || same.Digest != first.Digest {
		t.Errorf("a relative name: %+v, %q", same, w.warned)
	}

	w.write("Web_1.tar", roottest.Rootfs(t, roottest.File("etc/new", "x")))
	checks(t, w.Store, first.Name, Outdated, "there is sha256:")
	second, imported := w.ensure(file)
	if !imported || second.Name != first.Name || second.Digest == first.Digest || !strings.Contains(w.warned[0], "has changed") {
		t.Errorf("%+v, %q", second, w.warned)
	}
	if all, err := w.Superseded(); err != nil || all[first.Digest] != first.Name {
		t.Errorf("superseded: %v, %v", all, err)
	}
	w.write("Web_1.tar", roottest.Rootfs(t, roottest.File("etc/new", "y")))
	third, err := w.Refresh(t.Context(), first.Name, RefreshOptions{})
	roottest.Must(t, err)
	if same, imported := w.ensure(file); imported || same.Digest != third.Digest || third.Digest == second.Digest {
		t.Errorf("after an update: %+v, %q", same, w.warned)
	}

	// The template may have another name.
	_, err = w.Tag(t.Context(), first.Name, "other", false)
	roottest.Must(t, err)
	roottest.Must(t, w.Untag(t.Context(), first.Name))
	w.write("Web_1.tar", roottest.Rootfs(t, roottest.File("etc/new", "z")))
	if im, imported := w.ensure(file); !imported || im.Name != "other" {
		t.Errorf("under another name: %+v, %q", im, w.warned)
	}
	roottest.Must(t, os.Remove(file))
	w.refused(file, fail.NotFound, "template other was imported from it", "croft template inspect other")
	checks(t, w.Store, "other", Unknown, file+" is gone")
}

// Images in archives and directories are chosen by their names, and keep their digests.
func TestEnsureOfImagesInFiles(t *testing.T) {
	w := newFileWorld(t)
	second := func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage {
		return append(all, archive.DockerImage{Config: "none", RepoTags: []string{"b:1"}})
	}
	docker := w.write("all.tar", dockerArchive(t, roottest.Rootfs(t), second))
	w.refused("docker-archive:"+docker, fail.Usage, "several images: a:1, b:1", "docker-archive:"+docker+":IMAGE")
	w.refused(docker, fail.Usage, "several images: a:1, b:1", "croft template import NAME "+docker+" --image IMAGE")
	w.refused("docker-archive:"+docker+":c:1", fail.NotFound, `no image "c:1"`, "")
	w.refused("oci-archive:"+docker, fail.Usage, "not an OCI image layout", "")
	w.refused("oci:"+docker, fail.Usage, "is a file", "oci-archive:"+docker)
	if im, imported := w.ensure("docker-archive:" + docker + ":a:1"); !imported || im.Name != "a-1" {
		t.Errorf("%+v, %q", im, w.warned)
	}
	if im, imported := w.ensure("docker-archive:" + docker + ":a:1"); imported {
		t.Errorf("again: %+v, %q", im, w.warned)
	}

	layout := layoutDir(t, func(*oci.Index, *oci.Manifest) {})
	w.refused("docker-archive:"+layout, fail.Usage, "not an archive of docker save", "")
	im, imported := w.ensure("oci:" + layout + ":a")
	if !imported || im.Name != "a" || im.SourceDigest != im.Digest {
		t.Errorf("%+v, %q", im, w.warned)
	}
	if same, imported := w.ensure("oci:" + layout + ":a"); imported || same.Digest != im.Digest {
		t.Errorf("again: %+v, %q", same, w.warned)
	}
	packed := w.write("packed.tar", nil)
	f, err := os.Create(packed)
	roottest.Must(t, err)
	defer f.Close()
	roottest.Must(t, w.Export(t.Context(), "a", f, ExportOptions{Format: "oci-archive"}))
	if same, imported := w.ensure("oci-archive:" + packed); !imported || same.Name != "packed" || same.Digest != im.Digest {
		t.Errorf("from an archive: %+v, %q", same, w.warned)
	}
	if _, err := w.Pull(t.Context(), "oci:"+layout, PullOptions{}); !fail.Is(err, fail.Usage) {
		t.Errorf("a pull from a directory: %v", err)
	}
}

func TestEnsureRefusesFiles(t *testing.T) {
	w := newFileWorld(t)
	file := w.write("web.tar", roottest.Rootfs(t))
	mustImport(t, w.Store, "web", roottest.Rootfs(t), ImportOptions{})
	before := files(t, w.Store)
	pipe := filepath.Join(w.dir, "pipe")
	roottest.Must(t, unix.Mkfifo(pipe, 0o600))
	w.refused(file, fail.Taken, "not from "+file, "croft template import NAME "+file)
	w.refused(w.dir+"/missing.tar", fail.NotFound, "no such file", "")
	w.refused(pipe, fail.Usage, "neither a file nor a directory", "croft template import NAME "+pipe)
	w.refused(w.dir, fail.Usage, "has no image", "")
	root := filepath.Join(w.dir, "The root")
	roottest.Must(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	w.refused(root, fail.Usage, "is the directory of a root filesystem", "tar -C '"+root+"' -c . | croft template import the-root -")
	w.refused("oci:", fail.Usage, "write oci:PATH", "")
	w.refused(w.write("+++", nil), fail.Usage, "cannot make a template name", "croft template import NAME")
	w.refused(w.write("text.tar", []byte(strings.Repeat("hello\n", 1000))), fail.Usage, "import "+w.dir+"/text.tar: ", "")
	t.Chdir(w.dir)
	w.refused("web-2.tar", fail.NotFound, "no template", "croft template list")
	w.write("web-2.tar", roottest.Rootfs(t))
	w.refused("web-2.tar", fail.NotFound, "./web-2.tar", "--template ./web-2.tar")
	if after := files(t, w.Store); after != before {
		t.Errorf("it left\n%s\nand not\n%s", after, before)
	}
}

// A template keeps the file that an import has read, and the options, for an update.
func TestImportKeepsItsFile(t *testing.T) {
	w := newFileWorld(t)
	file := w.write("Web.tar", roottest.Rootfs(t))
	load := func(name, file string, o ImportOptions) Image {
		t.Helper()
		f, err := os.Open(file)
		roottest.Must(t, err)
		defer f.Close()
		o.File, o.Replace = file, true
		im, err := w.Import(t.Context(), name, f, o)
		roottest.Must(t, err)
		return im
	}
	t.Chdir(w.dir)
	plain := load("plain", "Web.tar", ImportOptions{})
	if plain.Source != file || plain.SourceDigest == "" {
		t.Errorf("it is from %q, %s", plain.Source, plain.SourceDigest)
	}
	load("special", file, ImportOptions{Env: []string{"A=b"}, Release: "8", Variant: "x", MaxSize: 1 << 30})
	checks(t, w.Store, "plain", Current, "")
	checks(t, w.Store, "special", Current, "")
	if im, imported := w.ensure(file); imported || im.Name != "plain" {
		t.Errorf("the file as a template: %+v, %q", im, w.warned)
	}
	w.write("Web.tar", roottest.Rootfs(t, roottest.File("etc/new", "x")))
	checks(t, w.Store, "plain", Outdated, "there is sha256:")
	for _, name := range []string{"plain", "special"} {
		before, err := w.Resolve(name)
		roottest.Must(t, err)
		after, err := w.Refresh(t.Context(), name, RefreshOptions{})
		roottest.Must(t, err)
		if again, err := w.Refresh(t.Context(), name, RefreshOptions{}); err != nil || again.Digest != after.Digest || after.Digest == before.Digest {
			t.Errorf("%s: %s, then %s and %s, %v", name, before.Digest, after.Digest, again.Digest, err)
		}
		if after.ImportedWith.Text() != before.ImportedWith.Text() || strings.Join(after.Env, " ") != strings.Join(before.Env, " ") || after.Release != before.Release || after.Variant != before.Variant {
			t.Errorf("%s: the update has lost options: %+v", name, after)
		}
		checks(t, w.Store, name, Current, "")
	}
	roottest.Must(t, os.Remove(file))
	checks(t, w.Store, "plain", Unknown, file+" is gone")
	if _, err := w.Refresh(t.Context(), "plain", RefreshOptions{}); !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), "open "+file) {
		t.Errorf("an update without the file: %v", err)
	}
}

// An image that was chosen in an archive is chosen again. A template of another choice is not
// that of the file itself.
func TestImportKeepsItsChoice(t *testing.T) {
	w := newFileWorld(t)
	layout := layoutDir(t, func(*oci.Index, *oci.Manifest) {})
	o := ImportOptions{Dir: layout, Image: "a"}
	im, err := w.Import(t.Context(), filepath.Base(layout), strings.NewReader(""), o)
	roottest.Must(t, err)
	if im.Source != layout || im.ImportedWith.Image != "a" || im.SourceDigest != im.Digest {
		t.Errorf("%+v", im)
	}
	checks(t, w.Store, im.Name, Current, "")
	if again, err := w.Refresh(t.Context(), im.Name, RefreshOptions{}); err != nil || again.Digest != im.Digest {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := w.Ensure(t.Context(), layout); !fail.Is(err, fail.Taken) || !strings.Contains(err.Error(), "with options") {
		t.Errorf("the layout itself: %v", err)
	}
}

// A pipe with a name is a stream.
func TestImportOfAPipeHasNoFile(t *testing.T) {
	s := newStore(t, Options{})
	for _, file := range []string{"/dev/stdin", "/proc/self/fd/0", filepath.Join(t.TempDir(), "pipe")} {
		if filepath.Base(file) == "pipe" {
			roottest.Must(t, unix.Mkfifo(file, 0o600))
		}
		if im := mustImport(t, s, filepath.Base(file)+"0", roottest.Rootfs(t), ImportOptions{File: file}); im.Source != "" {
			t.Errorf("%s: it is from %s", file, im.Source)
		}
	}
}
