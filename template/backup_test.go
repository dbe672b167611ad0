package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/backups"
	"croft/template/rootfs"
	"croft/template/roottest"
)

const theSettings = `{"format":1}`

var backupTime = time.Date(2026, 3, 1, 10, 12, 7, 0, time.UTC)

// frozen returns the root filesystem of a VPS over base, whose files change made are a
// frozen layer.
func frozen(t *testing.T, s *Store, base Image, change func(root string)) rootfs.Rootfs {
	t.Helper()
	r := changed(t, s, base, 700000, 65536, change)
	to := filepath.Join(filepath.Dir(r.Dir), "frozen")
	roottest.Must(t, r.Freeze(to))
	r.Frozen = []rootfs.Frozen{{Dir: to, First: r.First, Size: r.Size}}
	return r
}

// backupOf writes a backup of r.
func backupOf(t *testing.T, s *Store, base Image, r rootfs.Rootfs, c backups.Compression) []byte {
	t.Helper()
	var out bytes.Buffer
	o := backups.Options{Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime, Compress: c}
	if _, err := s.Backup(t.Context(), base.Digest, r, &out, o); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// use is a BackupUse that gives the image the user web, or fails.
func use(im *Image, err error) backups.Use {
	used := map[string][]string{}
	return backups.Use{
		Check: func(b json.RawMessage) (string, error) {
			if string(b) != theSettings {
				return "", errors.New("other settings")
			}
			return "base", nil
		},
		Use: func(got Image) error {
			if err == nil {
				*im, used[got.Digest] = got, []string{"web"}
			}
			return err
		},
		Used: func() (map[string][]string, error) { return used, nil },
	}
}

// A VPS that is restored on another host sees the same files. The layers of its template
// are shared with that, and the same backup twice gives the same bytes.
func TestBackup(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, roottest.Dir("d/"), roottest.File("d/in", "x"), roottest.Dir("o/"), roottest.File("o/old", "x"), roottest.File("gone", "x")), ImportOptions{Env: []string{"A=b"}})
	var want string
	r := frozen(t, s, base, func(root string) {
		in := func(name string) string { return filepath.Join(root, name) }
		roottest.Must(t, os.Remove(in("gone")))
		roottest.Must(t, os.RemoveAll(in("o")))
		roottest.Must(t, os.Mkdir(in("o"), 0o750))
		roottest.Must(t, os.WriteFile(in("o/new"), []byte("new"), 0o640))
		roottest.Must(t, os.Chown(in("o/new"), 700005, 700006))
		roottest.Must(t, os.Link(in("o/new"), in("etc/linked")))
		roottest.Must(t, os.WriteFile(in("etc/machine-id"), []byte("0123\n"), 0o444))
		roottest.Must(t, unix.Mkfifo(in("fifo"), 0o600))
		roottest.Must(t, unix.Setxattr(in("o/new"), "user.note", []byte("a\x00b"), 0))
		roottest.Must(t, os.WriteFile(in("sparse"), nil, 0o600))
		roottest.Must(t, os.Truncate(in("sparse"), 8<<20))
		want = roottest.List(t, root)
	})
	for _, c := range []backups.Compression{backups.CompressZstd, backups.CompressGzip, backups.CompressNone} {
		archive := backupOf(t, s, base, r, c)
		if again := backupOf(t, s, base, r, c); !bytes.Equal(archive, again) {
			t.Errorf("%s: a second backup is another one", c)
		}
		other := newStore(t, Options{})
		mustImport(t, other, "base", roottest.Rootfs(t), ImportOptions{})
		var im Image
		if err := other.ImportBackup(t.Context(), bytes.NewReader(archive), use(&im, nil)); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		if !im.Former || im.Name != "base" || im.Env[0] != "A=b" || !slices.Equal(im.Layers[:1], base.Layers) {
			t.Errorf("%s: it is %+v", c, im)
		}
		if got := seen(t, other, im); got != want {
			t.Errorf("%s: got\n%swant\n%s", c, got, want)
		}
		if _, err := other.Import(t.Context(), "image", bytes.NewReader(archive), ImportOptions{}); err != nil {
			t.Errorf("%s: template import: %v", c, err)
		}
	}
	if left := files(t, s); strings.Contains(left, "stage-") {
		t.Errorf("left:\n%s", left)
	}
}

// Of an archive that is cut or changed, and after an error of its user, nothing is left.
// Where a change is harmless, the import is the same.
func TestDamagedBackup(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t), ImportOptions{})
	r := frozen(t, s, base, func(root string) {
		roottest.Must(t, os.WriteFile(filepath.Join(root, "new"), []byte("new"), 0o640))
	})
	archive := backupOf(t, s, base, r, backups.CompressNone)
	before := files(t, s)
	var whole Image
	try := func(what string, b []byte, err error) {
		t.Helper()
		var im Image
		got := s.ImportBackup(t.Context(), bytes.NewReader(b), use(&im, err))
		if got == nil && whole.Digest != "" && im.Digest != whole.Digest {
			t.Errorf("%s: another image is imported", what)
		}
		if got == nil {
			whole = im
			roottest.Must(t, s.Prune(t.Context(), noUsers))
		} else if err == nil && !fail.Is(got, fail.Usage) && !strings.Contains(got.Error(), "other settings") {
			t.Errorf("%s: %v", what, got)
		}
		if after := files(t, s); after != before {
			t.Errorf("%s: it left\n%s\nand not\n%s", what, after, before)
		}
	}
	try("the whole archive", archive, nil)
	if whole.Digest == "" {
		t.Fatal("it is not imported")
	}
	try("a user that fails", archive, errors.New("no"))
	for at := 0; at < len(archive)-1024; at += 509 {
		try("a cut archive", archive[:at], nil)
		changed := bytes.Clone(archive)
		changed[at] ^= 1
		try("a changed archive", changed, nil)
	}
	try("an archive of another kind", roottest.Rootfs(t), nil)
	var image bytes.Buffer
	roottest.Must(t, s.Export(t.Context(), "base", &image, ExportOptions{}))
	try("a template", image.Bytes(), nil)
}

// While an import gives the image a user, nothing removes it. After a kill the next
// command does.
func TestImagesWithoutAUserYet(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t), ImportOptions{})
	archive := backupOf(t, s, base, frozen(t, s, base, func(root string) {
		roottest.Must(t, os.WriteFile(filepath.Join(root, "new"), nil, 0o640))
	}), backups.CompressZstd)
	before := files(t, s)
	var im Image
	u := use(&im, nil)
	u.Use = func(got Image) error {
		roottest.Must(t, s.Prune(t.Context(), noUsers))
		roottest.Must(t, s.RemoveAbandoned(t.Context(), noUsers))
		im = got
		_, err := s.Resolve(got.Digest)
		return err
	}
	roottest.Must(t, s.ImportBackup(t.Context(), bytes.NewReader(archive), u))
	dead := s.Path("tmp", "stage-dead")
	roottest.Must(t, os.Mkdir(dead, 0o700))
	roottest.Must(t, os.WriteFile(filepath.Join(dead, "pin-"+strings.TrimPrefix(im.Digest, "sha256:")), nil, 0o600))
	mustImport(t, s, "other", roottest.Rootfs(t), ImportOptions{}) // sweeps stages
	roottest.Must(t, s.Remove(t.Context(), "other", noUsers))
	roottest.Must(t, s.RemoveAbandoned(t.Context(), noUsers))
	if after := files(t, s); after != before {
		t.Errorf("it left\n%s\nand not\n%s", after, before)
	}
}

// A layer that changes between its two passes is an error.
func TestBackupOfALayerThatChanges(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t), ImportOptions{})
	for _, content := range []string{"other", "much longer than it was", ""} {
		r := frozen(t, s, base, func(root string) {
			roottest.Must(t, os.WriteFile(filepath.Join(root, "new"), bytes.Repeat([]byte("x"), 5), 0o640))
		})
		out := writerFunc(func(p []byte) (int, error) {
			return len(p), os.WriteFile(filepath.Join(r.Frozen[0].Dir, "new"), []byte(content), 0o640)
		})
		_, err := s.Backup(t.Context(), base.Digest, r, out, backups.Options{Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime})
		if !fail.Is(err, fail.State) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// pushed pushes a backup of r to the hub, and remembers its layers beside them.
func pushed(t *testing.T, s *Store, base Image, r rootfs.Rootfs, ref string) backups.Pushed {
	t.Helper()
	to, err := s.OpenPush(t.Context(), ref, PushOptions{Insecure: true})
	roottest.Must(t, err)
	got, err := s.PushBackup(t.Context(), base.Digest, r, to, backups.Options{
		Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime,
		Remember: func(dir string) string { return dir + ".json" },
	})
	roottest.Must(t, err)
	return got
}

// A backup in a registry is the same image as in an archive. The second one sends only
// what has changed, and does not read the other layers again. It is restored on another
// host, and neither command takes it for a template.
func TestBackupInARegistry(t *testing.T) {
	roottest.NeedRoot(t)
	h := newHub(t)
	ref := h.host + "/backups/web:1"
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t), ImportOptions{})
	want := ""
	r := frozen(t, s, base, func(root string) {
		roottest.Must(t, os.WriteFile(filepath.Join(root, "new"), bytes.Repeat([]byte("x"), 5000), 0o640))
		roottest.Must(t, unix.Mknod(filepath.Join(root, "socket"), unix.S_IFSOCK|0o600, 0))
		for line := range strings.Lines(roottest.List(t, root)) {
			if !strings.Contains(line, "socket") {
				want += line
			}
		}
	})
	one := pushed(t, s, base, r, ref)
	if one.LeftOut.Sockets != 1 || one.Sent == 0 || one.Shared != 0 || !strings.HasPrefix(one.Reference, ref+"@sha256:") {
		t.Errorf("the first: %+v", one)
	}
	if size := backups.RememberedSize(r.Frozen[0].Dir + ".json"); size < 5000 {
		t.Errorf("it remembers %d bytes", size)
	}
	// A layer that is known is not read: it could not be packed now.
	bad := filepath.Join(r.Frozen[0].Dir, whiteoutOfNothing)
	roottest.Must(t, os.WriteFile(bad, nil, 0o600))
	two := pushed(t, s, base, r, ref)
	if two.Sent != 0 || two.Shared != one.Sent || two.Reference != one.Reference || two.LeftOut != one.LeftOut {
		t.Errorf("the second: %+v after %+v", two, one)
	}
	roottest.Must(t, os.Remove(bad))
	// Another registry does not have it.
	if three := pushed(t, s, base, r, newHub(t).host+"/web:1"); three.Sent != one.Sent {
		t.Errorf("another registry: %+v", three)
	}
	// What is remembered is not what it becomes: the layer is packed again.
	text, err := os.ReadFile(r.Frozen[0].Dir + ".json")
	roottest.Must(t, err)
	for _, damaged := range []string{"{", strings.ReplaceAll(string(text), string(text[bytes.LastIndex(text, []byte("sha256:"))+7:][:8]), "00000000")} {
		roottest.Must(t, os.WriteFile(r.Frozen[0].Dir+".json", []byte(damaged), 0o600))
		if again := pushed(t, s, base, r, ref); again.Reference != one.Reference || again.Sent != 0 {
			t.Errorf("of %s: %+v", damaged, again)
		}
	}

	other := newStore(t, Options{})
	mustImport(t, other, "base", roottest.Rootfs(t), ImportOptions{})
	h.spoils(nil)
	var im Image
	roottest.Must(t, other.PullBackup(t.Context(), ref, PullOptions{Insecure: true}, use(&im, nil)))
	if !im.Former || im.Name != "base" || !strings.HasSuffix(one.Reference, im.Digest) || im.Source != "" {
		t.Errorf("it is %+v", im)
	}
	if got := seen(t, other, im); got != want {
		t.Errorf("it has\n%s\nand not\n%s", got, want)
	}
	if got := h.requests(); got != "GET, GET" { // the config and one layer: the other is here
		t.Errorf("it asks for %s", got)
	}

	var warned []string
	third := newStore(t, Options{Warn: func(s string) { warned = append(warned, s) }})
	_, err = third.Pull(t.Context(), ref, PullOptions{Name: "web", Insecure: true})
	roottest.Must(t, err)
	if len(warned) != 1 || !strings.Contains(warned[0], "backup of a VPS") {
		t.Errorf("a pull warns %q", warned)
	}
	roottest.Must(t, s.Push(t.Context(), "base", h.host+"/base:1", PushOptions{Insecure: true}))
	err = other.PullBackup(t.Context(), h.host+"/base:1", PullOptions{Insecure: true}, use(&im, nil))
	if !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "not a backup") {
		t.Errorf("of a template: %v", err)
	}
	if _, err := s.OpenPush(t.Context(), one.Reference, PushOptions{Insecure: true}); !fail.Is(err, fail.Usage) {
		t.Errorf("to a digest: %v", err)
	}
}

// whiteoutOfNothing is a name that no layer can have.
const whiteoutOfNothing = ".wh.x"

// A layer that changes while it is pushed is an error, and the reference stays.
func TestPushOfALayerThatChanges(t *testing.T) {
	roottest.NeedRoot(t)
	report := func(Update) {}
	s := newStore(t, Options{Progress: func(u Update) { report(u) }})
	base := mustImport(t, s, "base", roottest.Rootfs(t), ImportOptions{})
	for _, content := range []string{"other", "much longer than it was", ""} {
		h := newHub(t)
		r := frozen(t, s, base, func(root string) {
			roottest.Must(t, os.WriteFile(filepath.Join(root, "new"), bytes.Repeat([]byte("x"), 5), 0o640))
		})
		to, err := s.OpenPush(t.Context(), h.host+"/web:1", PushOptions{Insecure: true})
		roottest.Must(t, err)
		o := backups.Options{Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime, Remember: func(dir string) string {
			return "" // called before it is packed for the first time
		}}
		report = func(u Update) {
			if u.Step == "pushing" {
				roottest.Must(t, os.WriteFile(filepath.Join(r.Frozen[0].Dir, "new"), []byte(content), 0o640))
			}
		}
		if _, err := s.PushBackup(t.Context(), base.Digest, r, to, o); !fail.Is(err, fail.State) {
			t.Errorf("%q: %v", content, err)
		}
		report = func(Update) {}
		if err := s.PullBackup(t.Context(), h.host+"/web:1", PullOptions{Insecure: true}, use(&Image{}, nil)); !fail.Is(err, fail.NotFound) {
			t.Errorf("%q: the reference: %v", content, err)
		}
	}
}
