package template

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/backups"
	"croft/template/rootfs"
	"croft/template/roottest"
)

// backupWithSnapshots returns a store with the image base, an archive of a VPS with two
// snapshots, and the files of the VPS and of the snapshots as text.
func backupWithSnapshots(t *testing.T) (s *Store, archive []byte, want []string) {
	t.Helper()
	s = newStore(t, Options{})
	base := mustImport(t, s, "base", roottest.Rootfs(t, roottest.File("old", "x")), ImportOptions{})
	write := func(name string) func(root string) {
		return func(root string) {
			roottest.Must(t, os.WriteFile(filepath.Join(root, name), []byte(name), 0o640))
			roottest.Must(t, os.Remove(filepath.Join(root, "old")))
		}
	}
	first, second := frozen(t, s, base, write("one")), frozen(t, s, base, write("two"))
	then, now := first, second
	now.Frozen = []rootfs.Frozen{second.Frozen[0], first.Frozen[0]}
	o := backups.Options{Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime, Compress: backups.CompressNone, Snapshots: []backups.Snapshot{
		{Name: "a", Settings: json.RawMessage(`{"a":1}`), Base: base.Digest, Root: then},
		{Name: "b", Settings: json.RawMessage(`{"b":1}`), Base: base.Digest, Root: now},
	}}
	var out, again bytes.Buffer
	for _, w := range []io.Writer{&out, &again} {
		if _, err := s.Backup(t.Context(), base.Digest, now, w, o); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("a second backup is another one")
	}
	return s, out.Bytes(), []string{"one two", "one", "one two"}
}

// useAll is use for an archive with snapshots. images are that of the VPS and those of the
// snapshots.
func useAll(images *[]Image, err error) backups.Use {
	used := map[string][]string{}
	u := use(&Image{}, err)
	u.Snapshots = func(all []backups.SnapshotSettings) error {
		if len(all) != 2 || all[0].Name != "a" || string(all[0].Settings) != `{"a":1}` || all[1].Name != "b" || string(all[1].Settings) != `{"b":1}` {
			return errors.New("other settings")
		}
		return nil
	}
	u.UseAll = func(im Image, snapshots []Image) error {
		*images = append([]Image{im}, snapshots...)
		for _, im := range *images {
			if err == nil {
				used[im.Digest] = []string{"web"}
			}
		}
		return err
	}
	u.Used = func() (map[string][]string, error) { return used, nil }
	return u
}

// The files of snapshots come back with those of the VPS. The archive has a layer once, and
// other tools find only the image of the VPS in it.
func TestBackupWithSnapshots(t *testing.T) {
	roottest.NeedRoot(t)
	_, archive, want := backupWithSnapshots(t)
	other := newStore(t, Options{})
	var images []Image
	roottest.Must(t, other.ImportBackup(t.Context(), bytes.NewReader(archive), useAll(&images, nil)))
	for n, im := range images {
		var names []string
		for line := range strings.Lines(seen(t, other, im)) {
			for _, name := range []string{"one", "two", "old"} {
				if strings.Contains(line, name+" ") {
					names = append(names, name)
				}
			}
		}
		if got := strings.Join(names, " "); got != want[n] || !im.Former {
			t.Errorf("image %d has %q and not %q", n, got, want[n])
		}
	}
	blobs, index := map[string]int{}, oci.Index{}
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		roottest.Must(t, err)
		if blobs[h.Name]++; h.Name == oci.ImageIndexFile {
			roottest.Must(t, json.NewDecoder(in).Decode(&index))
		}
	}
	if len(index.Manifests) != 1 || index.Manifests[0].Digest.String() != images[0].Digest {
		t.Errorf("the index has %+v", index.Manifests)
	}
	// Beside the layers there are 3 manifests and 2 configs: b is as the VPS is now.
	if n := slices.Max(slices.Collect(maps.Values(blobs))); n != 1 || len(blobs) != 4+3+2+3 {
		t.Errorf("the archive has %v", blobs)
	}
	var alone Image
	roottest.Must(t, newStore(t, Options{}).ImportBackup(t.Context(), bytes.NewReader(archive), use(&alone, nil)))
	if alone.Digest != images[0].Digest {
		t.Errorf("without its snapshots it is %+v", alone)
	}
	if _, err := other.Import(t.Context(), "image", bytes.NewReader(archive), ImportOptions{}); err != nil {
		t.Errorf("template import: %v", err)
	}
}

// Of an archive with snapshots that is cut or changed, and after an error of its user,
// nothing is left.
func TestDamagedBackupWithSnapshots(t *testing.T) {
	roottest.NeedRoot(t)
	s, archive, _ := backupWithSnapshots(t)
	before := files(t, s)
	try := func(what string, b []byte, err error) {
		t.Helper()
		var images []Image
		got := s.ImportBackup(t.Context(), bytes.NewReader(b), useAll(&images, err))
		if got == nil {
			roottest.Must(t, s.Prune(t.Context(), noUsers))
		} else if err == nil && !fail.Is(got, fail.Usage) && !strings.Contains(got.Error(), "other settings") {
			t.Errorf("%s: %v", what, got)
		}
		if got == nil && len(images) != 3 {
			t.Errorf("%s: it has %d images", what, len(images))
		}
		if after := files(t, s); after != before {
			t.Errorf("%s: it left\n%s\nand not\n%s", what, after, before)
		}
	}
	try("the whole archive", archive, nil)
	try("a user that fails", archive, errors.New("no"))
	for at := 0; at < len(archive)-1024; at += 1021 {
		try("a cut archive", archive[:at], nil)
		changed := bytes.Clone(archive)
		changed[at] ^= 1
		try("a changed archive", changed, nil)
	}
	for n, name := range manifestsOf(t, archive)[1:] {
		var images []Image
		err := s.ImportBackup(t.Context(), bytes.NewReader(without(t, archive, name)), useAll(&images, nil))
		if !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "is missing") {
			t.Errorf("without snapshot %d: %v", n, err)
		}
	}
}

// manifestsOf returns the names of the manifests in an archive: they are the first blobs.
func manifestsOf(t *testing.T, archive []byte) []string {
	t.Helper()
	var all []string
	for in := tar.NewReader(bytes.NewReader(archive)); len(all) < 3; {
		h, err := in.Next()
		roottest.Must(t, err)
		if strings.HasPrefix(h.Name, oci.ImageBlobsDir+"/sha256/") && h.Typeflag == tar.TypeReg {
			all = append(all, h.Name)
		}
	}
	return all
}

// without returns the archive without one of its files.
func without(t *testing.T, archive []byte, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	to := tar.NewWriter(&out)
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		roottest.Must(t, err)
		if h.Name != name {
			roottest.Must(t, to.WriteHeader(h))
			_, err = io.Copy(to, in)
			roottest.Must(t, err)
		}
	}
	roottest.Must(t, to.Close())
	return out.Bytes()
}
