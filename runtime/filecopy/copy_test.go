package filecopy

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/roottest"
)

// open opens a new tree that belongs to the ids of a VPS.
func open(t *testing.T, ids layer.IDs, name string) (Tree, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chown(dir, int(ids.First), int(ids.First)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return Tree{Root: root, IDs: ids, Name: name}, dir
}

func write(t *testing.T, name, text string, uid, gid int, mode os.FileMode) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, []byte(text), 0o600)
	}
	if err == nil {
		err = os.Lchown(name, uid, gid)
	}
	if err == nil {
		err = os.Chmod(name, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func owner(t *testing.T, name string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, st.Mode&0o7777)
}

var (
	web = layer.IDs{First: 700000, Size: 65536}
	db  = layer.IDs{First: 900000, Size: 65536}
)

func TestCopyKeepsFiles(t *testing.T) {
	roottest.NeedRoot(t)
	host, hostDir := open(t, layer.IDs{}, "")
	one, oneDir := open(t, web, "web:")
	two, twoDir := open(t, db, "db:")
	write(t, hostDir+"/site/index", "hello", 0, 0, 0o644)
	write(t, hostDir+"/site/sub/.wh.tool", "x", 33, 34, 0o755|os.ModeSetuid)
	if err := unix.Truncate(hostDir+"/site/index", 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(hostDir+"/site/index", "user.note", []byte("kept"), 0); err != nil {
		t.Fatal(err)
	}
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	if err := unix.Setxattr(hostDir+"/site/index", "security.capability", []byte(capability), 0); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"/site/link": "/etc/passwd", "/site/sub/up": "../.."} {
		if err := os.Symlink(to, hostDir+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(hostDir+"/site/index", hostDir+"/site/second"); err != nil {
		t.Fatal(err)
	}
	want := roottest.List(t, hostDir)
	counted := 0
	step := func(from, to End, o Options) Result {
		t.Helper()
		o.Count = func(n int) { counted += n }
		r, err := Copy(context.Background(), from, to, o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	step(End{Tree: host, Path: "/site"}, End{Tree: one, Path: "/"}, Options{})
	step(End{Tree: one, Path: "/site"}, End{Tree: two, Path: "/"}, Options{})
	if got := roottest.List(t, twoDir); got != want {
		t.Errorf("copied:\n%snot\n%s", got, want)
	}
	if got := owner(t, twoDir+"/site/sub/.wh.tool"); got != "900033:900034 4755" {
		t.Errorf("owner %s", got)
	}
	var st unix.Stat_t
	if err := unix.Stat(twoDir+"/site/index", &st); err != nil || st.Size != 1<<20 || st.Blocks > 1000 {
		t.Errorf("a file of holes has %d blocks, %v", st.Blocks, err)
	}
	if counted == 0 {
		t.Error("no bytes were counted")
	}
	value := make([]byte, 100)
	n, err := unix.Getxattr(oneDir+"/site/index", "security.capability", value)
	if err != nil || n != 24 {
		t.Errorf("capability %q, %v", value[:max(n, 0)], err)
	}
	// Back on the host nothing has powers that a VPS gave it.
	out := hostDir + "/out"
	r := step(End{Tree: two, Path: "/site/."}, End{Tree: host, Path: "/out"}, Options{DropSetID: true})
	if got := owner(t, out+"/sub/.wh.tool"); got != "33:34 755" || r.Dropped != 2 {
		t.Errorf("owner %s, %d dropped", got, r.Dropped)
	}
	if _, err := unix.Getxattr(out+"/index", "security.capability", value); err != unix.ENODATA {
		t.Errorf("capability on the host: %v", err)
	}
	if n, err := unix.Getxattr(out+"/index", "user.note", value); err != nil || string(value[:n]) != "kept" {
		t.Errorf("attribute %q, %v", value[:max(n, 0)], err)
	}
	step(End{Tree: two, Path: "/site/index"}, End{Tree: one, Path: "/given"}, Options{Owner: &[2]int{5, 6}})
	if got := owner(t, oneDir+"/given"); got != "700005:700006 644" {
		t.Errorf("given owner: %s", got)
	}
}

func TestCopyRefuses(t *testing.T) {
	roottest.NeedRoot(t)
	host, hostDir := open(t, layer.IDs{}, "")
	one, oneDir := open(t, web, "web:")
	write(t, hostDir+"/file", "new", 0, 0, 0o644)
	write(t, hostDir+"/theirs", "new", 70000, 0, 0o644)
	write(t, oneDir+"/etc/hosts", "old", 700000, 700000, 0o644)
	before := roottest.List(t, oneDir)
	for _, c := range []struct {
		from, to End
		kind     fail.Kind
		says     string
	}{
		{End{Tree: host, Path: "/none"}, End{Tree: one, Path: "/"}, fail.NotFound, "/none does not exist"},
		{End{Tree: host, Path: "/file"}, End{Tree: one, Path: "/none/x"}, fail.NotFound, "web:/none does not exist"},
		{End{Tree: host, Path: "/file"}, End{Tree: one, Path: "/etc/hosts/"}, fail.Usage, "not a directory"},
		{End{Tree: host, Path: "/file/"}, End{Tree: one, Path: "/"}, fail.NotFound, "not a directory"},
		{End{Tree: host, Path: "/"}, End{Tree: one, Path: "/etc/hosts"}, fail.Usage, "not a directory"},
		{End{Tree: host, Path: "/theirs"}, End{Tree: one, Path: "/"}, fail.State, "no user or group id 70000"},
		{End{Tree: one, Path: "/etc"}, End{Tree: one, Path: "/etc"}, fail.Usage, "is inside it"},
		{End{Tree: one, Path: "/"}, End{Tree: one, Path: "/etc"}, fail.Usage, "is inside it"},
		{End{Tree: one, Path: "/etc/hosts"}, End{Tree: one, Path: "/etc"}, fail.Usage, "the same file"},
		{End{Reader: strings.NewReader("no tar")}, End{Tree: one, Path: "/"}, fail.Usage, "damaged"},
		{End{Reader: strings.NewReader("")}, End{Writer: &bytes.Buffer{}}, fail.Usage, "both"},
	} {
		_, err := Copy(context.Background(), c.from, c.to, Options{})
		if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s to %s: %v, not %q", c.from.Path, c.to.Path, err, c.says)
		}
	}
	if after := roottest.List(t, oneDir); after != before {
		t.Errorf("it was\n%sand is\n%s", before, after)
	}
}

// Names in a VPS lead nowhere else, whatever its root has put there.
func TestCopyStaysInside(t *testing.T) {
	roottest.NeedRoot(t)
	host, hostDir := open(t, layer.IDs{}, "")
	one, oneDir := open(t, web, "web:")
	outside := t.TempDir()
	write(t, outside+"/secret", "the host's", 0, 0, 0o600)
	write(t, hostDir+"/file", "new", 0, 0, 0o644)
	write(t, oneDir+"/real/file", "old", 700000, 700000, 0o644)
	for name, to := range map[string]string{"/out": outside, "/up": "../../../../../.." + outside, "/magic": "/proc/self/root", "/abs": "/real"} {
		if err := os.Symlink(to, oneDir+name); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/out/secret", "/up/secret", "/magic/etc/passwd"} {
		if _, err := Copy(context.Background(), End{Tree: one, Path: name}, End{Tree: host, Path: "/got"}, Options{}); !fail.Is(err, fail.NotFound) {
			t.Errorf("read %s: %v", name, err)
		}
		if _, err := Copy(context.Background(), End{Tree: host, Path: "/file"}, End{Tree: one, Path: name}, Options{}); err == nil {
			t.Errorf("wrote %s", name)
		}
	}
	if _, err := Copy(context.Background(), End{Tree: host, Path: "/file"}, End{Tree: one, Path: "/abs/file"}, Options{}); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(oneDir + "/real/file"); string(got) != "new" {
		t.Errorf("through a link inside: %q", got)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeSymlink, Name: "l", Linkname: outside}, {Typeflag: tar.TypeReg, Name: "l/secret", Size: 1, Mode: 0o644},
		{Typeflag: tar.TypeReg, Name: "../../escaped", Size: 1, Mode: 0o644},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write([]byte("x"))
		}
	}
	w.Close()
	if _, err := Copy(context.Background(), End{Reader: &archive}, End{Tree: one, Path: "/real"}, Options{}); err == nil {
		if _, err := os.Lstat(oneDir + "/real/escaped"); err != nil {
			t.Error("..: ends at the destination")
		}
	}
	if got := roottest.List(t, outside); got != "-rw------- secret \"the host's\"\n" {
		t.Errorf("outside: %s", got)
	}
}

// A copy that is cut off leaves each file whole, and no other file.
func TestCopyIsCutOff(t *testing.T) {
	roottest.NeedRoot(t)
	host, hostDir := open(t, layer.IDs{}, "")
	one, oneDir := open(t, web, "web:")
	write(t, hostDir+"/file", strings.Repeat("new", 1<<20), 0, 0, 0o644)
	write(t, oneDir+"/file", "old", 700000, 700000, 0o644)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Copy(ctx, End{Tree: host, Path: "/file"}, End{Tree: one, Path: "/"}, Options{Count: func(int) { cancel() }})
	if err == nil {
		t.Fatal("it went on")
	}
	if got := roottest.List(t, oneDir); got != "-rw-r--r-- file \"old\"\n" {
		t.Errorf("left: %.100s", got)
	}
}
