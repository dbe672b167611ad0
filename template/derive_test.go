package template

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/rootfs"
	"croft/template/roottest"
)

// changed returns the root filesystem of a VPS over im. It is mounted while change
// runs.
func changed(t *testing.T, s *Store, im Image, first, size uint32, change func(root string)) rootfs.Rootfs {
	t.Helper()
	dirs, err := s.LayerDirs(im)
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	r := rootfs.Rootfs{Layers: dirs, Dir: filepath.Join(top, "fs"), Target: filepath.Join(top, "root"), Scratch: filepath.Join(top, "lower"), First: first, Size: size}
	roottest.InMountNamespace(t, func() {
		roottest.Must(t, r.Make())
		if err := r.Mount(); err != nil {
			t.Errorf("mount: %v", err)
			return
		}
		change(r.Target)
		roottest.Must(t, r.Unmount())
	})
	return r
}

// seen lists the files that a VPS of im sees, with the ids on disk.
func seen(t *testing.T, s *Store, im Image) string {
	t.Helper()
	dirs, err := s.LayerDirs(im)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := rootfs.WithMerged(filepath.Join(t.TempDir(), "merged"), dirs, func(root string) error {
		got = roottest.List(t, root)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDerive(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, roottest.Dir("d/"), roottest.File("d/in", "x"), roottest.Dir("o/"), roottest.File("o/old", "x"), roottest.File("gone", "x"), roottest.File("both", "x"), roottest.Hardlink("both2", "both")), ImportOptions{Env: []string{"A=b"}})
	var want string
	r := changed(t, s, base, 700000, 65536, func(root string) {
		in := func(name string) string { return filepath.Join(root, name) }
		roottest.Must(t, os.Remove(in("gone")))
		roottest.Must(t, os.RemoveAll(in("d")))
		roottest.Must(t, os.RemoveAll(in("o")))
		roottest.Must(t, os.Mkdir(in("o"), 0o750))
		roottest.Must(t, os.WriteFile(in("o/new"), []byte("new"), 0o640))
		roottest.Must(t, os.Chown(in("o/new"), 700005, 700006))
		roottest.Must(t, os.Link(in("o/new"), in("etc/linked")))
		roottest.Must(t, os.Symlink("/etc/linked", in("etc/soft")))
		roottest.Must(t, unix.Mkfifo(in("fifo"), 0o600))
		roottest.Must(t, os.WriteFile(in("both"), []byte("changed"), 0o644))
		roottest.Must(t, unix.Setxattr(in("o/new"), "user.note", []byte("a\x00b"), 0))
		want = roottest.List(t, root)
	})
	im, err := s.Derive(t.Context(), "mine", base.Digest, r, DeriveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if im.Name != "mine" || len(im.Layers) != 2 || im.Init != base.Init || im.Env[0] != "A=b" || im.Distribution != "test" || im.Release != "7" || im.Size != base.Size+int64(len("new"+"changed")) {
		t.Errorf("derived %+v", im)
	}
	if got := seen(t, s, im); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	dirs, _ := s.LayerDirs(im)
	if got := roottest.Owner(t, filepath.Join(dirs[0], "o/new")); got != "5:6" {
		t.Errorf("o/new is %s's", got)
	}
	note := make([]byte, 9)
	if n, err := unix.Getxattr(filepath.Join(dirs[0], "etc/linked"), "user.note", note); string(note[:max(n, 0)]) != "a\x00b" {
		t.Errorf("its note is %q (%v)", note, err)
	}
	if _, err := s.Derive(t.Context(), "mine", base.Digest, r, DeriveOptions{}); !fail.Is(err, fail.Taken) {
		t.Errorf("a taken name: %v", err)
	}
	// A layer may be empty. A base that is removed meanwhile is an error.
	again := changed(t, s, im, 0, 0, func(string) {})
	same, err := s.Derive(t.Context(), "mine", im.Digest, again, DeriveOptions{Replace: true})
	if err != nil || seen(t, s, same) != want || len(same.Layers) != 3 {
		t.Errorf("nothing changed: %+v, %v", same, err)
	}
	if _, err := s.Derive(t.Context(), "other", "sha256:"+strings.Repeat("0", 64), r, DeriveOptions{}); !fail.Is(err, fail.NotFound) {
		t.Errorf("no base: %v", err)
	}
	if left := files(t, s); strings.Contains(left, "stage-") {
		t.Errorf("left:\n%s", left)
	}
}

// With SOURCE_DATE_EPOCH the same files give the same image, whenever they were written.
func TestSourceDateOfADerivedImage(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, roottest.Dir("d/"), roottest.File("gone", "x")), ImportOptions{})
	r := changed(t, s, base, 700000, 65536, func(root string) {
		roottest.Must(t, os.Remove(filepath.Join(root, "gone")))
		roottest.Must(t, os.WriteFile(filepath.Join(root, "d/new"), []byte("new"), 0o644))
		roottest.Must(t, os.WriteFile(filepath.Join(root, "d/old"), []byte("old"), 0o644))
		roottest.Must(t, os.Chtimes(filepath.Join(root, "d/old"), time.Time{}, time.Unix(7, 0)))
	})
	derive := func() Image {
		t.Helper()
		im, err := s.Derive(t.Context(), "mine", base.Digest, r, DeriveOptions{Replace: true})
		roottest.Must(t, err)
		later := time.Now().Add(time.Hour)
		for _, name := range []string{"d/new", "d"} {
			roottest.Must(t, os.Chtimes(filepath.Join(r.Upper(), name), time.Time{}, later))
		}
		return im
	}
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	first, second := derive(), derive()
	if first.Digest != second.Digest || first.Created.Unix() != 86400 {
		t.Errorf("first %s of %v, then %s", first.Digest, first.Created, second.Digest)
	}
	dirs, err := s.LayerDirs(first)
	roottest.Must(t, err)
	for name, want := range map[string]int64{"d/new": 86400, "d": 86400, "d/old": 7} {
		info, err := os.Stat(filepath.Join(dirs[0], name))
		roottest.Must(t, err)
		if at := info.ModTime().Unix(); at != want {
			t.Errorf("%s is of %d", name, at)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if usual := derive(); usual.Digest == first.Digest || time.Since(usual.Created) > time.Hour {
		t.Errorf("without one: %s of %v", usual.Digest, usual.Created)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "tomorrow")
	if _, err := s.Derive(t.Context(), "mine", base.Digest, r, DeriveOptions{Replace: true}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("an invalid one: %v", err)
	}
}

// After a rename of a lower directory, overlay records the old name.
func TestDeriveOfARenamedDirectory(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, roottest.Dir("d/"), roottest.File("d/in", "x"), roottest.Dir("d/sub/"), roottest.File("d/sub/f", "y")), ImportOptions{})
	r := changed(t, s, base, 700000, 65536, func(root string) {})
	// The same as overlay with redirect_dir=on, which is not every kernel's default.
	moved := filepath.Join(r.Upper(), "e")
	roottest.Must(t, os.Mkdir(moved, 0o755))
	roottest.Must(t, os.Chown(moved, 700000, 700000))
	roottest.Must(t, unix.Setxattr(moved, layer.XattrRedirect, []byte("d"), 0))
	roottest.Must(t, os.WriteFile(filepath.Join(moved, "own"), []byte("z"), 0o600))
	roottest.Must(t, unix.Mknod(filepath.Join(r.Upper(), "d"), unix.S_IFCHR, 0))
	if on, err := os.ReadFile("/sys/module/overlay/parameters/redirect_always_follow"); err != nil || on[0] != 'Y' {
		t.Skipf("this kernel does not follow renamed directories: %q, %v", on, err)
	}
	im, err := s.Derive(t.Context(), "mine", base.Digest, r, DeriveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := seen(t, s, im)
	for _, line := range []string{"e/in \"x\"", "e/own \"z\"", "drwxr-xr-x e/sub", "e/sub/f \"y\""} {
		if !strings.Contains(got, line) {
			t.Errorf("no %s", line)
		}
	}
	if strings.Contains(got, " d\n") || t.Failed() {
		t.Errorf("it is\n%s", got)
	}
	dirs, _ := s.LayerDirs(im)
	if got := roottest.Owner(t, filepath.Join(dirs[0], "e/in")); got != roottest.Owner(t, filepath.Join(dirs[1], "d/in")) {
		t.Errorf("e/in is %s's", got)
	}
}

// Files that identify a VPS are not in a template, except with KeepIdentity.
func TestDeriveLeavesIdentitiesOut(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, roottest.Dir("etc/ssh/"), roottest.File("etc/machine-id", ""), roottest.File("etc/ssh/ssh_host_rsa_key", "everybody's")), ImportOptions{})
	r := changed(t, s, base, 700000, 65536, func(root string) {
		for name, text := range map[string]string{
			"etc/machine-id": "mine", "etc/ssh/ssh_host_rsa_key": "mine", "etc/ssh/ssh_host_ed25519_key.pub": "mine", "etc/ssh/ssh_config": "kept",
			"var/lib/dbus/machine-id": "mine", "var/lib/systemd/random-seed": "mine", "var/lib/systemd/credential.secret": "mine", "var/lib/systemd/x": "kept",
		} {
			roottest.Must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
			roottest.Must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
		}
	})
	im, err := s.Derive(t.Context(), "mine", base.Digest, r, DeriveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := seen(t, s, im)
	if strings.Contains(got, "\"mine\"") || strings.Contains(got, "everybody's") || strings.Count(got, "\"kept\"") != 2 || !strings.Contains(got, "etc/machine-id \"\"") {
		t.Errorf("it has\n%s", got)
	}
	if im, err = s.Derive(t.Context(), "backup", base.Digest, r, DeriveOptions{KeepIdentity: true}); err != nil {
		t.Fatal(err)
	}
	if got := seen(t, s, im); strings.Count(got, "\"mine\"") != 6 || !im.KeepsIdentity {
		t.Errorf("asked to keep all, it has %v\n%s", im.KeepsIdentity, got)
	}
	if again, err := s.Resolve("backup"); err != nil || !again.KeepsIdentity {
		t.Errorf("read again: %+v, %v", again, err)
	}
	r = changed(t, s, im, 800000, 65536, func(string) {})
	if im, err = s.Derive(t.Context(), "shared", im.Digest, r, DeriveOptions{}); err != nil || im.KeepsIdentity {
		t.Errorf("made of that for many: %+v, %v", im, err)
	}
}

func TestDeriveRefusesWhiteoutsOfTheVPS(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t), ImportOptions{})
	r := changed(t, s, base, 0, 0, func(root string) {
		roottest.Must(t, os.WriteFile(filepath.Join(root, "etc/.wh.os-release"), nil, 0o644))
	})
	_, err := s.Derive(t.Context(), "mine", base.Digest, r, DeriveOptions{})
	if !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "/etc/.wh.os-release") {
		t.Errorf("got %v", err)
	}
	roottest.OneLine(t, err)
	if left := files(t, s); strings.Contains(left, "stage-") {
		t.Errorf("left:\n%s", left)
	}
}

// The frozen layers of a VPS are layers of the template, whatever ids they have.
func TestDeriveWithFrozenLayers(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, roottest.Dir("d/"), roottest.File("d/in", "x"), roottest.File("gone", "x")), ImportOptions{})
	r := changed(t, s, base, 700000, 65536, func(root string) {
		roottest.Must(t, os.Remove(filepath.Join(root, "gone")))
		roottest.Must(t, os.WriteFile(filepath.Join(root, "first"), []byte("1"), 0o640))
		roottest.Must(t, os.Chown(filepath.Join(root, "first"), 700005, 700006))
	})
	tree := filepath.Join(t.TempDir(), "tree")
	roottest.Must(t, r.Freeze(tree))
	r.Frozen = []rootfs.Frozen{{Dir: tree, First: r.First, Size: r.Size}}
	r.Dir, r.First = filepath.Join(t.TempDir(), "clone"), 900000
	roottest.Must(t, r.MakeOver())
	roottest.InMountNamespace(t, func() {
		roottest.Must(t, r.Mount())
		roottest.Must(t, os.WriteFile(filepath.Join(r.Target, "d", "second"), []byte("2"), 0o644))
		roottest.Must(t, os.Remove(filepath.Join(r.Target, "d", "in")))
		roottest.Must(t, r.Unmount())
	})
	im, err := s.Derive(t.Context(), "mine", base.Digest, r, DeriveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(im.Layers) != len(base.Layers)+2 {
		t.Errorf("%d layers", len(im.Layers))
	}
	got := seen(t, s, im)
	if strings.Contains(got, "gone") || strings.Contains(got, "d/in") || !strings.Contains(got, "d/second") || !strings.Contains(got, "first") {
		t.Errorf("it has\n%s", got)
	}
	var st unix.Stat_t
	dirs, err := s.LayerDirs(im)
	roottest.Must(t, err)
	if err := unix.Lstat(filepath.Join(dirs[1], "first"), &st); err != nil || st.Uid != 5 || st.Gid != 6 {
		t.Errorf("first belongs to %d:%d, %v", st.Uid, st.Gid, err)
	}
}
