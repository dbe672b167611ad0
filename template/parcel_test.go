package template

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/backups"
	"croft/template/rootfs"
	"croft/template/rootfs/tree"
	"croft/template/roottest"
)

// sent is a VPS that is sent to another store while it runs.
type sent struct {
	*testing.T
	from, to *Store
	base     Image
	running  rootfs.Rootfs
	copied   *tree.LiveCopy
	parcel   *backups.Parcel
	copy     rootfs.Frozen
}

// send sends the first part of the running r, which is mounted.
func send(t *testing.T, s *Store, base Image, r rootfs.Rootfs) *sent {
	t.Helper()
	own(t, r)
	p := &sent{T: t, from: s, to: newStore(t, Options{}), base: base, running: r}
	mustImport(t, p.to, "base", roottest.Rootfs(t, baseFiles()...), ImportOptions{})
	to := filepath.Join(filepath.Dir(r.Dir), "copy")
	var err error
	if p.copied, err = tree.NewLiveCopy(r.Upper(), to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.copied.Close)
	if _, err := p.copied.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.copy = rootfs.Frozen{Dir: to, First: r.First, Size: r.Size}
	r.Frozen = []rootfs.Frozen{p.copy}
	if p.parcel, err = s.Parcel(t.Context(), base.Digest, r, backups.Options{Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.parcel.Close)
	return p
}

// finish sends the rest of the VPS, which has stopped, and returns the image there.
func (p *sent) finish() (im Image) {
	p.Helper()
	var first, second bytes.Buffer
	has := func(d string) bool { return p.to.HasBlob(d) }
	roottest.Must(p.T, p.parcel.Write(p.Context(), &first, "copying", has))
	p.copied.Leave()
	below := p.running.Below()
	old, now := append([]rootfs.Frozen{p.copy}, below...), append([]rootfs.Frozen{p.running.Own()}, below...)
	err := p.parcel.Add(p.Context(), json.RawMessage(theSettings), p.copied, filepath.Join(filepath.Dir(p.running.Dir), "views"), old, now)
	roottest.Must(p.T, err)
	gone := fail.New(fail.State, "it is not needed")
	outer := use(&im, nil)
	outer.Use = func(Image) error {
		if err := p.parcel.Write(p.Context(), &second, "copying", has); err != nil {
			return err
		}
		if err := p.to.ImportBackup(p.Context(), &second, use(&im, nil)); err != nil {
			return err
		}
		return gone
	}
	outer.Used = func() (map[string][]string, error) { return map[string][]string{im.Digest: {"web"}}, nil }
	if err := p.to.ImportBackup(p.Context(), &first, outer); !errors.Is(err, gone) {
		p.Fatal(err)
	}
	return im
}

// What has changed since the first part makes the files there those that the VPS had at
// the end: content whose time was set back, links, removed and replaced files.
func TestParcel(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, baseFiles()...), ImportOptions{})
	var p *sent
	var want string
	running(t, s, base, func(r rootfs.Rootfs, in func(string) string) {
		write := func(name, text string) { roottest.Must(t, os.WriteFile(in(name), []byte(text), 0o640)) }
		for _, name := range []string{"same", "edited", "back", "gone", "to-dir", "linked"} {
			write("d/"+name, name)
		}
		roottest.Must(t, os.Link(in("d/linked"), in("d/linked2")))
		roottest.Must(t, os.Mkdir(in("new"), 0o700))
		write("new/file", "x")
		roottest.Must(t, os.RemoveAll(in("o")))
		p = send(t, s, base, r)
		write("d/edited", "longer text")
		at, err := os.Stat(in("d/back"))
		roottest.Must(t, err)
		write("d/back", "BACK")
		roottest.Must(t, os.Chtimes(in("d/back"), at.ModTime(), at.ModTime()))
		roottest.Must(t, os.Remove(in("d/gone")))
		roottest.Must(t, os.Remove(in("d/of-template")))
		roottest.Must(t, os.Remove(in("d/to-dir")))
		roottest.Must(t, os.Mkdir(in("d/to-dir"), 0o711))
		write("d/to-dir/inside", "x")
		write("d/linked2", "both")
		roottest.Must(t, os.Rename(in("new"), in("renamed")))
		roottest.Must(t, os.Mkdir(in("o"), 0o755))
		write("o/again", "x")
		roottest.Must(t, os.Chmod(in("etc"), 0o750))
		want = roottest.List(t, in(""))
	})
	im := p.finish()
	if got := seen(t, p.to, im); !roottest.SameLines(t, "the files there", got, want) {
		t.Log(got)
	}
	if n := len(im.Layers); n != len(base.Layers)+2 {
		t.Errorf("it has %d layers", n)
	}
}

// Snapshots are in the first archive. A layer that they share with the VPS or with each
// other, or that the other store has, is there once or not at all.
func TestParcelWithSnapshots(t *testing.T) {
	roottest.NeedRoot(t)
	s, to := newStore(t, Options{}), newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, roottest.File("old", "x")), ImportOptions{})
	mustImport(t, to, "base", roottest.Rootfs(t, roottest.File("old", "x")), ImportOptions{})
	has := func(name string) rootfs.Rootfs {
		return frozen(t, s, base, func(root string) { roottest.Must(t, os.WriteFile(filepath.Join(root, name), nil, 0o600)) })
	}
	one, two, three := has("one"), has("two"), has("three")
	now := one
	now.Frozen = []rootfs.Frozen{two.Frozen[0], one.Frozen[0]}
	p, err := s.Parcel(t.Context(), base.Digest, now, backups.Options{Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime, Snapshots: []backups.Snapshot{
		{Name: "a", Settings: json.RawMessage(`{"a":1}`), Base: base.Digest, Root: one},
		{Name: "b", Settings: json.RawMessage(`{"b":1}`), Base: base.Digest, Root: three},
	}})
	roottest.Must(t, err)
	defer p.Close()
	if got := len(p.Blobs()); got != 4 {
		t.Errorf("it has %d layers", got)
	}
	var first, second bytes.Buffer
	var had []Image
	roottest.Must(t, p.Write(t.Context(), &first, "copying", to.HasBlob))
	roottest.Must(t, to.ImportBackup(t.Context(), &first, useAll(&had, nil)))
	for n, want := range []string{"old one two", "old one", "old three"} {
		var names []string
		for _, name := range []string{"old", "one", "two", "three"} {
			if strings.Contains(seen(t, to, had[n]), name+" ") {
				names = append(names, name)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("image %d has %q and not %q", n, got, want)
		}
	}
	roottest.Must(t, p.SnapshotsSent())
	roottest.Must(t, p.Write(t.Context(), &second, "copying", to.HasBlob))
	var last Image
	u := use(&last, nil)
	u.Snapshots = func([]backups.SnapshotSettings) error { return errors.New("there are snapshots") }
	size := second.Len()
	roottest.Must(t, to.ImportBackup(t.Context(), &second, u))
	if size > 20000 || !slices.Equal(last.Layers, had[0].Layers) {
		t.Errorf("the last archive has %d bytes, and the layers %v after %v", size, last.Layers, had[0].Layers)
	}
}

// Nothing has changed since the first part.
func TestParcelWithoutChanges(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, baseFiles()...), ImportOptions{})
	var p *sent
	var want string
	running(t, s, base, func(r rootfs.Rootfs, in func(string) string) {
		roottest.Must(t, os.WriteFile(in("d/large"), make([]byte, 4<<20), 0o600))
		p = send(t, s, base, r)
		want = roottest.List(t, in(""))
	})
	im := p.finish()
	roottest.SameLines(t, "the files there", seen(t, p.to, im), want)
}

// The image below the layers of a VPS is the template of the store, if that has just the
// same layers, and else a former image. It goes again if it gets no user.
func TestUseBelow(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, baseFiles()...), ImportOptions{})
	var p *sent
	running(t, s, base, func(r rootfs.Rootfs, in func(string) string) {
		roottest.Must(t, os.WriteFile(in("d/new"), nil, 0o600))
		p = send(t, s, base, r)
	})
	im := p.finish()
	noUser := errors.New("no user")
	try := func(n int, result error) (below Image) {
		t.Helper()
		err := p.to.UseBelow(t.Context(), im.Digest, n, backups.Use{
			Use:  func(im Image) error { below = im; return result },
			Used: func() (map[string][]string, error) { return map[string][]string{im.Digest: {"web"}}, nil },
		})
		if !errors.Is(err, result) {
			t.Fatal(err)
		}
		return below
	}
	there, err := p.to.Resolve("base")
	roottest.Must(t, err)
	if got := try(1, nil); got.Digest != there.Digest || got.Former {
		t.Errorf("with the template it is %+v", got)
	}
	roottest.Must(t, p.to.Remove(t.Context(), "base", func() (map[string][]string, error) { return map[string][]string{im.Digest: {"web"}}, nil }))
	for _, result := range []error{noUser, nil} {
		got := try(1, result)
		if !got.Former || got.KeepsIdentity || len(got.Layers) != 1 || got.Layers[0] != base.Layers[0] || got.Name != im.Name {
			t.Errorf("without the template it is %+v", got)
		}
		if _, err := p.to.Resolve(got.Digest); (err == nil) != (result == nil) {
			t.Errorf("after %v: %v", result, err)
		}
		if result == nil {
			if again := try(1, nil); again.Digest != got.Digest {
				t.Errorf("again it is %+v", again)
			}
		}
	}
	for _, n := range []int{0, len(im.Layers) + 1} {
		if err := p.to.UseBelow(t.Context(), im.Digest, n, backups.Use{}); !fail.Is(err, fail.Usage) {
			t.Errorf("%d layers: %v", n, err)
		}
	}
}

// baseFiles are files of a template.
func baseFiles() []*tar.Header {
	return []*tar.Header{roottest.Dir("d/"), roottest.File("d/of-template", "x"), roottest.File("d/kept", "x"), roottest.Dir("o/"), roottest.File("o/old", "x")}
}

// running calls do while the root filesystem of a VPS over im is mounted. in returns the
// path of a file of it.
func running(t *testing.T, s *Store, im Image, do func(r rootfs.Rootfs, in func(name string) string)) {
	t.Helper()
	dirs, err := s.LayerDirs(im)
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	r := rootfs.Rootfs{Layers: dirs, Dir: filepath.Join(top, "fs"), Target: filepath.Join(top, "root"), Scratch: filepath.Join(top, "lower"), First: 700000, Size: 65536}
	roottest.InMountNamespace(t, func() {
		roottest.Must(t, r.Make())
		roottest.Must(t, r.Mount())
		do(r, func(name string) string { return filepath.Join(r.Target, name) })
		own(t, r)
		roottest.Must(t, r.Unmount())
	})
}

// own gives the files that the test has made to the root of the VPS.
func own(t *testing.T, r rootfs.Rootfs) {
	t.Helper()
	roottest.Must(t, filepath.WalkDir(r.Upper(), func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil || st.Uid >= r.First {
			return err
		}
		in, err := d.Info()
		if err == nil {
			err = os.Lchown(name, int(r.First), int(r.First))
		}
		if err == nil && d.Type().IsRegular() {
			err = os.Chmod(name, in.Mode())
		}
		return err
	}))
}
