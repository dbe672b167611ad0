package template

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
)

func TestUnpackStaysInside(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []*tar.Header
		want    string // the tree, or what the error says
	}{
		{"dots end at the root", []*tar.Header{file("../../../outside/new", "x")}, "drwxr-xr-x outside\n-rw-r--r-- outside/new \"x\"\n"},
		{"dots in the middle", []*tar.Header{file("x/../../../outside/secret", "x")}, "drwxr-xr-x outside\n-rw-r--r-- outside/secret \"x\"\n"},
		{"absolute names are inside", []*tar.Header{file("/etc/passwd", "x")}, "drwxr-xr-x etc\n-rw-r--r-- etc/passwd \"x\"\n"},
		{"write through an absolute link", []*tar.Header{symlink("out", "/outside"), dir("outside"), file("out/secret", "x")},
			"Lrwxrwxrwx out -> /outside\ndrwxr-xr-x outside\n-rw-r--r-- outside/secret \"x\"\n"},
		{"write through a relative link", []*tar.Header{symlink("out", "../../../outside"), file("out/secret", "x")}, "File exists|file exists"},
		{"write through a link to the host's root", []*tar.Header{symlink("root", "/"), file("root/outside/secret", "x")},
			"drwxr-xr-x outside\n-rw-r--r-- outside/secret \"x\"\nLrwxrwxrwx root -> /\n"},
		{"write through /proc", []*tar.Header{symlink("p", "/proc/self/cwd"), file("p/x", "x")}, "exists"},
		{"a link is replaced, not followed", []*tar.Header{symlink("f", "../../../outside/secret"), file("f", "x")}, "-rw-r--r-- f \"x\"\n"},
		{"a link is replaced by a directory", []*tar.Header{symlink("d", "../../../outside"), dir("d"), file("d/secret", "x")},
			"drwxr-xr-x d\n-rw-r--r-- d/secret \"x\"\n"},
		{"a directory is replaced by a link while it is in use", []*tar.Header{dir("d"), file("d/a", "1"), symlink("d", "../../../outside"), file("d/secret", "x")}, "exists"},
		{"hard link out by dots", []*tar.Header{hardlink("h", "../../../outside/secret")}, "not in the archive"},
		{"hard link out by an absolute name", []*tar.Header{hardlink("h", "/etc/passwd")}, "not in the archive"},
		{"hard link through a link", []*tar.Header{symlink("out", "../../../outside"), hardlink("h", "out/secret")}, "not in the archive"},
		{"hard link to a link is one to the link", []*tar.Header{symlink("s", "../../../outside/secret"), hardlink("h", "s"), file("h", "x")},
			"-rw-r--r-- h \"x\"\nLrwxrwxrwx s -> ../../../outside/secret\n"},
		{"hard link to a directory", []*tar.Header{dir("d"), hardlink("h", "d")}, "hard link to the directory"},
		{"hard link to itself", []*tar.Header{file("f", "x"), hardlink("f", "f")}, "-rw-r--r-- f \"x\"\n"},
		{"hard link to the root", []*tar.Header{hardlink("h", "..")}, "hard link to"},
		{"hard link", []*tar.Header{file("f", "x"), hardlink("sub/h", "/f")}, "-rw-r--r-- f \"x\" links=2\ndrwxr-xr-x sub\n-rw-r--r-- sub/h \"x\" links=2\n"},
		{"devices are left out", []*tar.Header{{Typeflag: tar.TypeBlock, Name: "dev/sda", Mode: 0o666, Devmajor: 8}, {Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}}, "drwxr-xr-x dev\n"},
		{"a file in the way of a directory", []*tar.Header{file("f", "x"), file("f/g", "y")}, "not a directory"},
		{"a file takes a directory's place", []*tar.Header{dir("d"), file("d/e/f", "x"), file("d", "y")}, "-rw-r--r-- d \"y\"\n"},
		{"a directory comes twice", []*tar.Header{dir("d"), file("d/f", "x"), {Typeflag: tar.TypeDir, Name: "d", Mode: 0o700}}, "drwx------ d\n-rw-r--r-- d/f \"x\"\n"},
		{"the root itself", []*tar.Header{{Typeflag: tar.TypeDir, Name: "./", Mode: 0o000}, file("./f", "x")}, "-rw-r--r-- f \"x\"\n"},
		{"a fifo", []*tar.Header{{Typeflag: tar.TypeFifo, Name: "p", Mode: 0o600}}, "prw------- p\n"},
		{"set-user-id", []*tar.Header{{Typeflag: tar.TypeReg, Name: "su", Mode: 0o4755}, {Typeflag: tar.TypeDir, Name: "tmp", Mode: 0o1777}}, "urwxr-xr-x su \"\"\ndtrwxrwxrwx tmp\n"},
		{"a name too long", []*tar.Header{file(strings.Repeat("n", 300), "x")}, "name too long"},
		{"a path too long", []*tar.Header{file(strings.Repeat("d/", 3000)+"f", "x")}, "name too long"},
		{"an empty link", []*tar.Header{symlink("l", "")}, "no such file"},
		{"an owner that is none", []*tar.Header{{Typeflag: tar.TypeReg, Name: "f", Uid: 1<<32 - 1, Gid: 5}}, "owner"},
		{"a type that is none", []*tar.Header{{Typeflag: 'Z', Name: "f"}}, "not known"},
		{"a whiteout of nothing", []*tar.Header{file(".wh.", "")}, "not a whiteout"},
		{"a whiteout of its directory", []*tar.Header{file("d/.wh...", "")}, "not a whiteout"},
		{"overlay's own attributes", []*tar.Header{{Typeflag: tar.TypeDir, Name: "d", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/x"}}}, "drwxr-xr-x d\n"},
		{"nothing", nil, "no files"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inside, untouched := jail(t)
			_, err := unpack(context.Background(), inside, nil, bytes.NewReader(archive(t, c.entries...)), nil)
			untouched()
			if err == nil {
				if got := list(t, inside); got != c.want {
					t.Errorf("got\n%swant\n%s", got, c.want)
				}
				return
			}
			var bad *archiveError
			if !errors.As(err, &bad) {
				t.Errorf("not the archive's fault: %v", err)
			}
			oneLine(t, archiveFailure(err))
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
	inside, _ := jail(t)
	entries := archive(t, dir("d"), file("d/f", "x"), symlink("d/l", "f"), dir("d/e"), file("late", ""), file("d/g", ""))
	if _, err := unpack(context.Background(), inside, nil, bytes.NewReader(entries), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "d/f", "d/l", "d/e", "late"} {
		st, err := os.Lstat(filepath.Join(inside, name))
		if err != nil {
			t.Fatal(err)
		}
		if !st.ModTime().Equal(someTime) {
			t.Errorf("%s is of %v", name, st.ModTime())
		}
	}
}

func TestUnpackMakesHolesOfZeros(t *testing.T) {
	inside, _ := jail(t)
	text := strings.Repeat("\x00", 3<<20) + "end" + strings.Repeat("\x00", 2<<20)
	size, err := unpack(context.Background(), inside, nil, bytes.NewReader(archive(t, file("f", text))), nil)
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

func TestUnpackEndsWithItsContext(t *testing.T) {
	inside, _ := jail(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := unpack(ctx, inside, nil, bytes.NewReader(rootfs(t)), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestUnpackAsRoot(t *testing.T) {
	needRoot(t)
	inside, _ := jail(t)
	// VFS_CAP_REVISION_2 with CAP_NET_RAW permitted, effective.
	ping := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	_, err := unpack(context.Background(), inside, nil, bytes.NewReader(archive(t,
		&tar.Header{Typeflag: tar.TypeReg, Name: "ping", Mode: 0o6755, Uid: 1234, Gid: 70000,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": ping, "SCHILY.xattr.user.note": "kept", "SCHILY.xattr.trusted.overlay.opaque": "y"}},
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "x", Uid: 5, Gid: 6},
		dir("d"), file("d/.wh.gone", ""), file("d/.wh..wh.plnk", ""), file("d/here", ""), file("d/.wh.here", ""),
		dir("o"), file("o/.wh..wh..opq", ""),
	)), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "drwxr-xr-x d\nDcrw-rw-rw- d/gone dev=0\n-rw-r--r-- d/here \"\"\nLrwxrwxrwx l -> x\ndrwxr-xr-x o\nugrwxr-xr-x ping \"\"\n"
	if got := strings.ReplaceAll(list(t, inside), "Dc--------- d/gone", "Dcrw-rw-rw- d/gone"); got != want {
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

// FuzzUnpack: whatever the bytes, nothing outside changes, and what goes wrong
// is said in one line.
func FuzzUnpack(f *testing.F) {
	f.Add(rootfs(f))
	f.Add(archive(f, symlink("a", "../../.."), file("a/outside/secret", "x")))
	f.Add(archive(f, file("f", "x"), hardlink("h", "f"), dir("h"), symlink("f", "/"), file("f/x", "")))
	f.Add(archive(f, file(".wh.x", ""), file("d/.wh..wh..opq", "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		inside, untouched := jail(t)
		plain, err := decompress(bytes.NewReader(b))
		if err == nil {
			_, err = unpack(context.Background(), inside, nil, plain, nil)
			plain.Close()
		}
		untouched()
		if err != nil {
			oneLine(t, archiveFailure(err))
			if k := fail.KindOf(archiveFailure(err)); k != fail.Usage && k != fail.Permission {
				t.Errorf("kind %d: %v", k, err)
			}
		}
	})
}
