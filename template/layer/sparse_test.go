package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// holey creates a file of size bytes at path with data only in the given places.
func holey(t *testing.T, path string, size int64, data map[int64]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at, text := range data {
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA); err == unix.EINVAL || st.Blocks*512 > size/2 {
		t.Skip("the filesystem of temporary files has no holes")
	}
}

func allocated(t *testing.T, path string) (size, blocks int64) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Size, st.Blocks * 512
}

// checkHoley checks a copy of the file that holey created.
func checkHoley(t *testing.T, path string, size int64, data map[int64]string) {
	t.Helper()
	got, blocks := allocated(t, path)
	if got != size || blocks > 8<<20 {
		t.Errorf("%s has %d bytes of %d on the disk, want %d bytes", filepath.Base(path), blocks, got, size)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at, text := range data {
		b := make([]byte, len(text)+2)
		n, _ := f.ReadAt(b, at)
		if !bytes.HasPrefix(b[:n], []byte(text)) {
			t.Errorf("%s has %q at %d, want %q", filepath.Base(path), b[:n], at, text)
		}
	}
}

const veryLarge = 200 << 30

// sparseFiles creates a directory with sparse files. It returns their contents too.
func sparseFiles(t *testing.T, large int64) (string, map[string]map[int64]string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join("d", string(bytes.Repeat([]byte("long-"), 40)))
	files := map[string]map[int64]string{
		"all-hole": nil,
		"ends":     {0: "first", large - 4: "last"},
		"parts":    {5 << 20: "one", 9 << 20: "two", large / 2: "three"},
		long:       {1: "x"},
		"after":    {0: "not sparse at all"},
	}
	os.Mkdir(filepath.Join(dir, "d"), 0o755)
	for name, data := range files {
		size := large
		if name == "after" {
			size = int64(len(data[0]))
		}
		if name == "after" {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(data[0]), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		holey(t, filepath.Join(dir, name), size, data)
	}
	return dir, files
}

func packDir(t *testing.T, dir string, minHoles int64) []byte {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := NewPacker(context.Background(), &out, IDs{})
	p.MinHoles = minHoles
	if err := p.Pack(fd); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sizeOf(name string, large int64) int64 {
	if name == "after" {
		return int64(len("not sparse at all"))
	}
	return large
}

// Holes are neither read nor written: they stay holes.
func TestHolesStay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir, files := sparseFiles(t, veryLarge)
	archive := packDir(t, dir, minHoles)
	if len(archive) > 16<<20 {
		t.Fatalf("the archive has %d bytes", len(archive))
	}
	to := t.TempDir()
	if _, err := Unpack(t.Context(), to, nil, bytes.NewReader(archive), nil); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		checkHoley(t, filepath.Join(to, name), sizeOf(name, veryLarge), data)
	}
	if _, err := Unpack(t.Context(), t.TempDir(), nil, bytes.NewReader(archive), NewBudget(1<<30)); err == nil {
		t.Error("a budget of 1 GiB allows files of 200 GiB")
	}
}

// Podman and Docker cannot save an image with a sparse entry. So a file with
// small holes has none in a layer.
func TestSmallHolesInALayer(t *testing.T) {
	dir, _ := sparseFiles(t, 20<<20)
	for least, want := range map[int64]bool{minHoles: false, MinHolesRootfs: true} {
		if got := bytes.Contains(packDir(t, dir, least), []byte("GNU.sparse.major=1")); got != want {
			t.Errorf("from %d bytes of holes on: sparse entries: %v", least, got)
		}
	}
}

// Other tools can read these archives, and Unpack can read those of other tools.
func TestSparseEntriesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	const large = 64 << 20
	dir, files := sparseFiles(t, large)
	archive := packDir(t, dir, MinHolesRootfs)
	t.Run("archive/tar", func(t *testing.T) {
		r := tar.NewReader(bytes.NewReader(archive))
		seen := 0
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			data, known := files[filepath.Clean(h.Name)]
			if !known {
				continue
			}
			seen++
			body, err := io.ReadAll(r)
			if err != nil || int64(len(body)) != sizeOf(filepath.Clean(h.Name), large) {
				t.Fatalf("%s: %d bytes, %v", h.Name, len(body), err)
			}
			for at, text := range data {
				if !bytes.HasPrefix(body[at:], []byte(text)) {
					t.Errorf("%s: %q is not at %d", h.Name, text, at)
				}
			}
		}
		if seen != len(files) {
			t.Errorf("%d of %d files", seen, len(files))
		}
	})
	for _, tool := range []string{"tar", "bsdtar"} {
		t.Run(tool, func(t *testing.T) {
			if _, err := exec.LookPath(tool); err != nil {
				t.Skip(err)
			}
			to := t.TempDir()
			cmd := exec.Command(tool, "-C", to, "-x", "-f", "-")
			cmd.Stdin = bytes.NewReader(archive)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for name, data := range files {
				checkHoley(t, filepath.Join(to, name), sizeOf(name, large), data)
			}
		})
	}
	for _, format := range []string{"posix --sparse-version=1.0", "posix --sparse-version=0.1", "posix --sparse-version=0.0", "gnu"} {
		t.Run("GNU tar --format="+format, func(t *testing.T) {
			if out, err := exec.Command("tar", "--version").Output(); err != nil || !bytes.Contains(out, []byte("GNU tar")) {
				t.Skip("there is no GNU tar")
			}
			written, err := exec.Command("sh", "-c", fmt.Sprintf("tar -C '%s' -c -S --format=%s .", dir, format)).Output()
			if err != nil {
				t.Fatal(err)
			}
			to := t.TempDir()
			if _, err := Unpack(t.Context(), to, nil, bytes.NewReader(written), nil); err != nil {
				t.Fatal(err)
			}
			for name, data := range files {
				checkHoley(t, filepath.Join(to, name), sizeOf(name, large), data)
			}
		})
	}
}

// An invalid map is a fault of the archive, and nothing else changes.
func TestBadMaps(t *testing.T) {
	entry := func(size, body string) []byte {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, Format: tar.FormatPAX, Size: int64(len(body)), PAXRecords: map[string]string{
			keyMajor: "1", keyMinor: "0", keyName: "f", keyRealSize: size}}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, body)
		w.Close()
		renameKeys(b.Bytes()[BlockSize:2*BlockSize], renamedPrefix, sparsePrefix)
		return b.Bytes()
	}
	block := func(text string) string { return text + string(make([]byte, BlockSize-len(text))) }
	for what, archive := range map[string][]byte{
		"no map":         entry("10", ""),
		"no number":      entry("10", block("x\n")),
		"too many":       entry("10", block("99999999999\n")),
		"cut off":        entry("10", block("1\n")),
		"negative":       entry("10", block("1\n-5\n3\n")),
		"past the end":   entry("10", block("1\n8\n3\n")),
		"overlapping":    entry("10", block("2\n0\n3\n2\n3\n")+"abcdef"),
		"overflow":       entry("10", block("1\n9223372036854775807\n9223372036854775807\n")),
		"missing data":   entry("1000", block("1\n0\n1000\n")+"abc"),
		"negative size":  entry("-1", block("0\n")),
		"size of a word": entry("x", block("0\n")),
	} {
		if _, err := Unpack(t.Context(), t.TempDir(), nil, bytes.NewReader(archive), nil); err == nil {
			t.Errorf("%s: it is unpacked", what)
		}
	}
}

// Input without sparse entries passes unchanged, whatever it contains and however
// it is split into reads.
func FuzzSparseFilter(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 3, PAXRecords: map[string]string{"VENDOR.x": "y"}})
	io.WriteString(w, "abc")
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "b", Linkname: "a"})
	w.Close()
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:700])
	f.Fuzz(func(t *testing.T, archive []byte) {
		got, err := io.ReadAll(newSparseFilter(bytes.NewReader(archive)))
		if err != nil || len(got) != len(archive) {
			t.Fatalf("%d bytes become %d, %v", len(archive), len(got), err)
		}
		if !bytes.Contains(archive, []byte(sparsePrefix)) && !bytes.Equal(got, archive) {
			t.Error("it is changed")
		}
	})
}
