package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/roottest"
)

func TestUnpackStaysInside(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []*tar.Header
		want    string // the tree, or what the error says
	}{
		{"dots end at the root", []*tar.Header{roottest.File("../../../outside/new", "x")}, "drwxr-xr-x outside\n-rw-r--r-- outside/new \"x\"\n"},
		{"dots in the middle", []*tar.Header{roottest.File("x/../../../outside/secret", "x")}, "drwxr-xr-x outside\n-rw-r--r-- outside/secret \"x\"\n"},
		{"absolute names are inside", []*tar.Header{roottest.File("/etc/passwd", "x")}, "drwxr-xr-x etc\n-rw-r--r-- etc/passwd \"x\"\n"},
		{"write through an absolute link", []*tar.Header{roottest.Symlink("out", "/outside"), roottest.Dir("outside"), roottest.File("out/secret", "x")},
			"Lrwxrwxrwx out -> /outside\ndrwxr-xr-x outside\n-rw-r--r-- outside/secret \"x\"\n"},
		{"write through a relative link", []*tar.Header{roottest.Symlink("out", "../../../outside"), roottest.File("out/secret", "x")}, "File exists|file exists"},
		{"write through a link to the host's root", []*tar.Header{roottest.Symlink("root", "/"), roottest.File("root/outside/secret", "x")},
			"drwxr-xr-x outside\n-rw-r--r-- outside/secret \"x\"\nLrwxrwxrwx root -> /\n"},
		{"write through /proc", []*tar.Header{roottest.Symlink("p", "/proc/self/cwd"), roottest.File("p/x", "x")}, "exists"},
		{"a link is replaced, not followed", []*tar.Header{roottest.Symlink("f", "../../../outside/secret"), roottest.File("f", "x")}, "-rw-r--r-- f \"x\"\n"},
		{"a link is replaced by a directory", []*tar.Header{roottest.Symlink("d", "../../../outside"), roottest.Dir("d"), roottest.File("d/secret", "x")},
			"drwxr-xr-x d\n-rw-r--r-- d/secret \"x\"\n"},
		{"a directory is replaced by a link while it is in use", []*tar.Header{roottest.Dir("d"), roottest.File("d/a", "1"), roottest.Symlink("d", "../../../outside"), roottest.File("d/secret", "x")}, "exists"},
		{"hard link out by dots", []*tar.Header{roottest.Hardlink("h", "../../../outside/secret")}, "not in the archive"},
		{"hard link out by an absolute name", []*tar.Header{roottest.Hardlink("h", "/etc/passwd")}, "not in the archive"},
		{"hard link through a link", []*tar.Header{roottest.Symlink("out", "../../../outside"), roottest.Hardlink("h", "out/secret")}, "not in the archive"},
		{"hard link to a link is one to the link", []*tar.Header{roottest.Symlink("s", "../../../outside/secret"), roottest.Hardlink("h", "s"), roottest.File("h", "x")},
			"-rw-r--r-- h \"x\"\nLrwxrwxrwx s -> ../../../outside/secret\n"},
		{"hard link to a directory", []*tar.Header{roottest.Dir("d"), roottest.Hardlink("h", "d")}, "hard link to the directory"},
		{"hard link to itself", []*tar.Header{roottest.File("f", "x"), roottest.Hardlink("f", "f")}, "-rw-r--r-- f \"x\"\n"},
		{"hard link to the root", []*tar.Header{roottest.Hardlink("h", "..")}, "invalid target of a hard link"},
		{"hard link", []*tar.Header{roottest.File("f", "x"), roottest.Hardlink("sub/h", "/f")}, "-rw-r--r-- f \"x\" links=2\ndrwxr-xr-x sub\n-rw-r--r-- sub/h \"x\" links=2\n"},
		{"devices are left out", []*tar.Header{{Typeflag: tar.TypeBlock, Name: "dev/sda", Mode: 0o666, Devmajor: 8}, {Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}}, "drwxr-xr-x dev\n"},
		{"a file in the way of a directory", []*tar.Header{roottest.File("f", "x"), roottest.File("f/g", "y")}, "not a directory"},
		{"a file takes a directory's place", []*tar.Header{roottest.Dir("d"), roottest.File("d/e/f", "x"), roottest.File("d", "y")}, "-rw-r--r-- d \"y\"\n"},
		{"a directory comes twice", []*tar.Header{roottest.Dir("d"), roottest.File("d/f", "x"), {Typeflag: tar.TypeDir, Name: "d", Mode: 0o700}}, "drwx------ d\n-rw-r--r-- d/f \"x\"\n"},
		{"the root itself", []*tar.Header{{Typeflag: tar.TypeDir, Name: "./", Mode: 0o000}, roottest.File("./f", "x")}, "-rw-r--r-- f \"x\"\n"},
		{"a fifo", []*tar.Header{{Typeflag: tar.TypeFifo, Name: "p", Mode: 0o600}}, "prw------- p\n"},
		{"set-user-id", []*tar.Header{{Typeflag: tar.TypeReg, Name: "su", Mode: 0o4755}, {Typeflag: tar.TypeDir, Name: "tmp", Mode: 0o1777}}, "urwxr-xr-x su \"\"\ndtrwxrwxrwx tmp\n"},
		{"a name too long", []*tar.Header{roottest.File(strings.Repeat("n", 300), "x")}, "name too long"},
		{"a path too long", []*tar.Header{roottest.File(strings.Repeat("d/", 3000)+"f", "x")}, "name too long"},
		{"an empty link", []*tar.Header{roottest.Symlink("l", "")}, "no such file"},
		{"an owner that is none", []*tar.Header{{Typeflag: tar.TypeReg, Name: "f", Uid: 1<<32 - 1, Gid: 5}}, "owner"},
		{"a type that is none", []*tar.Header{{Typeflag: 'Z', Name: "f"}}, "unknown entry type"},
		{"a whiteout of nothing", []*tar.Header{roottest.File(".wh.", "")}, "not a whiteout"},
		{"a whiteout of its directory", []*tar.Header{roottest.File("d/.wh...", "")}, "not a whiteout"},
		{"overlay's own attributes", []*tar.Header{{Typeflag: tar.TypeDir, Name: "d", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/x"}}}, "drwxr-xr-x d\n"},
		{"nothing", nil, "no files"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inside, untouched := roottest.Jail(t)
			_, err := Unpack(context.Background(), inside, nil, bytes.NewReader(roottest.Archive(t, c.entries...)), nil)
			untouched()
			if err == nil {
				if got := roottest.List(t, inside); got != c.want {
					t.Errorf("got\n%swant\n%s", got, c.want)
				}
				return
			}
			var bad *archiveError
			if !errors.As(err, &bad) {
				t.Errorf("not the archive's fault: %v", err)
			}
			roottest.OneLine(t, ArchiveFailure(err))
			for alt := range strings.SplitSeq(c.want, "|") {
				if strings.Contains(err.Error(), alt) {
					return
				}
			}
			t.Errorf("error %q, want %q", err, c.want)
		})
	}
}

func TestUnpackKeepsTimes(t *testing.T) {
	inside, _ := roottest.Jail(t)
	entries := roottest.Archive(t, roottest.Dir("d"), roottest.File("d/f", "x"), roottest.Symlink("d/l", "f"), roottest.Dir("d/e"), roottest.File("late", ""), roottest.File("d/g", ""))
	if _, err := Unpack(context.Background(), inside, nil, bytes.NewReader(entries), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "d/f", "d/l", "d/e", "late"} {
		st, err := os.Lstat(filepath.Join(inside, name))
		if err != nil {
			t.Fatal(err)
		}
		if !st.ModTime().Equal(roottest.SomeTime) {
			t.Errorf("%s is of %v", name, st.ModTime())
		}
	}
}

func TestUnpackMakesHolesOfZeros(t *testing.T) {
	inside, _ := roottest.Jail(t)
	text := strings.Repeat("\x00", 3<<20) + "end" + strings.Repeat("\x00", 2<<20)
	size, err := Unpack(context.Background(), inside, nil, bytes.NewReader(roottest.Archive(t, roottest.File("f", text))), nil)
	if err != nil || size != int64(len(text)) {
		t.Fatalf("%d bytes, %v", size, err)
	}
	got, err := os.ReadFile(filepath.Join(inside, "f"))
	if err != nil || string(got) != text {
		t.Errorf("%d bytes came back (%v)", len(got), err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(inside, "f"), &st); err != nil || st.Blocks*512 > 1<<20 {
		t.Errorf("it takes %d bytes of the disk (%v)", st.Blocks*512, err)
	}
}

// A directory with a default ACL gives it to no file that has none in the archive.
func TestUnpackIntoADirectoryWithADefaultACL(t *testing.T) {
	inside, _ := roottest.Jail(t)
	const any = "\xff\xff\xff\xff"
	acl := "\x02\x00\x00\x00" + "\x01\x00\x07\x00" + any + "\x02\x00\x07\x00\x0c\x00\x00\x00" + "\x04\x00\x05\x00" + any + "\x10\x00\x05\x00" + any + "\x20\x00\x00\x00" + any
	dir := roottest.Dir("d")
	dir.PAXRecords = map[string]string{"SCHILY.xattr.system.posix_acl_default": acl}
	entries := roottest.Archive(t, dir, roottest.Dir("d/e"), roottest.File("d/f", "x"), &tar.Header{Typeflag: tar.TypeFifo, Name: "d/p", Mode: 0o666}, roottest.File("d/e/g", ""))
	if _, err := Unpack(context.Background(), inside, nil, bytes.NewReader(entries), nil); err != nil {
		t.Fatal(err)
	}
	if got := roottest.Xattrs(t, filepath.Join(inside, "d")); got["system.posix_acl_default"] != acl {
		t.Skipf("this filesystem has no ACLs: %v", got)
	}
	for name, mode := range map[string]os.FileMode{"d/e": os.ModeDir | 0o755, "d/f": 0o644, "d/p": os.ModeNamedPipe | 0o666, "d/e/g": 0o644} {
		st, err := os.Lstat(filepath.Join(inside, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := roottest.Xattrs(t, filepath.Join(inside, name)); len(got) > 0 || st.Mode() != mode {
			t.Errorf("%s has the mode %v and %q", name, st.Mode(), got)
		}
	}
}

func TestUnpackEndsWithItsContext(t *testing.T) {
	inside, _ := roottest.Jail(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Unpack(ctx, inside, nil, bytes.NewReader(roottest.Rootfs(t)), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestUnpackAsRoot(t *testing.T) {
	roottest.NeedRoot(t)
	inside, _ := roottest.Jail(t)
	// VFS_CAP_REVISION_2 with CAP_NET_RAW permitted, effective.
	ping := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	_, err := Unpack(context.Background(), inside, nil, bytes.NewReader(roottest.Archive(t,
		&tar.Header{Typeflag: tar.TypeReg, Name: "ping", Mode: 0o6755, Uid: 1234, Gid: 70000,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": ping, "SCHILY.xattr.user.note": "kept", "SCHILY.xattr.trusted.overlay.opaque": "y"}},
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "x", Uid: 5, Gid: 6},
		roottest.Dir("d"), roottest.File("d/.wh.gone", ""), roottest.File("d/.wh..wh.plnk", ""), roottest.File("d/here", ""), roottest.File("d/.wh.here", ""),
		roottest.Dir("o"), roottest.File("o/.wh..wh..opq", ""),
	)), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "drwxr-xr-x d\nDcrw-rw-rw- d/gone dev=0\n-rw-r--r-- d/here \"\"\nLrwxrwxrwx l -> x\ndrwxr-xr-x o\nugrwxr-xr-x ping \"\"\n"
	if got := strings.ReplaceAll(roottest.List(t, inside), "Dc--------- d/gone", "Dcrw-rw-rw- d/gone"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, c := range []struct{ file, name, want string }{
		{"ping", "security.capability", ping}, {"ping", "user.note", "kept"}, {"ping", "trusted.overlay.opaque", ""}, {"o", "trusted.overlay.opaque", "y"},
	} {
		buf := make([]byte, 64)
		n, err := unix.Lgetxattr(filepath.Join(inside, c.file), c.name, buf)
		if got := string(buf[:max(n, 0)]); got != c.want {
			t.Errorf("%s of %s is %q (%v), want %q", c.name, c.file, got, err, c.want)
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(inside, "ping"), &st); err != nil || st.Uid != 1234 || st.Gid != 70000 || st.Mode&0o7777 != 0o6755 {
		t.Errorf("ping is %d:%d %o (%v)", st.Uid, st.Gid, st.Mode, err)
	}
	if err := unix.Lstat(filepath.Join(inside, "l"), &st); err != nil || st.Uid != 5 || st.Gid != 6 {
		t.Errorf("l is %d:%d (%v)", st.Uid, st.Gid, err)
	}
}

// FuzzUnpack: no input changes anything outside, and each error is one line.
func FuzzUnpack(f *testing.F) {
	f.Add(roottest.Rootfs(f))
	f.Add(roottest.Archive(f, roottest.Symlink("a", "../../.."), roottest.File("a/outside/secret", "x")))
	f.Add(roottest.Archive(f, roottest.File("f", "x"), roottest.Hardlink("h", "f"), roottest.Dir("h"), roottest.Symlink("f", "/"), roottest.File("f/x", "")))
	f.Add(roottest.Archive(f, roottest.File(".wh.x", ""), roottest.File("d/.wh..wh..opq", "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		inside, untouched := roottest.Jail(t)
		plain, err := Decompress(bytes.NewReader(b))
		if err == nil {
			_, err = Unpack(context.Background(), inside, nil, plain, nil)
			plain.Close()
		}
		untouched()
		if err != nil {
			roottest.OneLine(t, ArchiveFailure(err))
			if k := fail.KindOf(ArchiveFailure(err)); k != fail.Usage && k != fail.Permission {
				t.Errorf("kind %d: %v", k, err)
			}
		}
	})
}

// FuzzWhiteouts: the whiteouts and links of a layer change nothing outside, and
// nothing in the layer below.
func FuzzWhiteouts(f *testing.F) {
	f.Add("d/.wh.x", "d/.wh..wh..opq", "d/x")
	f.Add(".wh.d", "d/x", "d/.wh..wh.aufs")
	f.Add("l/.wh.secret", "l/x/.wh.y", "../.wh.outside")
	f.Add(".wh...", ".wh..", "/.wh./x")
	f.Add("d/.wh.x/y", "d/.wh.x", "d/x/.wh..wh..opq")
	f.Add("0", "0", "\n")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		inside, untouched := roottest.Jail(t)
		below := t.TempDir()
		for _, d := range []string{"d/x", "etc"} {
			if err := os.MkdirAll(filepath.Join(below, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("/../..", filepath.Join(below, "l")); err != nil {
			t.Fatal(err)
		}
		before := roottest.List(t, below)
		var layer bytes.Buffer
		w := tar.NewWriter(&layer)
		for _, name := range []string{a, b, c} {
			if name == "" || w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Uid: os.Geteuid(), Gid: os.Getegid(), Format: tar.FormatPAX}) != nil {
				return // no archive has such a name
			}
		}
		w.Close()
		_, err := Unpack(t.Context(), inside, []string{below}, &layer, nil)
		untouched()
		if after := roottest.List(t, below); after != before {
			t.Errorf("the layer below was\n%sand is\n%s", before, after)
		}
		if err != nil {
			roottest.OneLine(t, ArchiveFailure(err))
		}
	})
}
