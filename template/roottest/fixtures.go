// Package roottest helps to test root filesystems: it creates archives, lists
// trees and runs functions in mount namespaces of their own.
package roottest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
)

// NeedRoot skips the test unless it runs as root.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("needs root, runs as %d", os.Geteuid())
	}
}

// SomeTime is the modification time of all entries of Archive.
var SomeTime = time.Unix(1700000000, 0)

// File returns an entry of an archive for Archive: a regular file with this text.
func File(name, text string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, PAXRecords: map[string]string{"TEST.body": text}}
}

// Dir returns an entry of an archive for Archive: a directory.
func Dir(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}
}

// Symlink returns an entry of an archive for Archive: a symbolic link.
func Symlink(name, to string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}
}

// Hardlink returns an entry of an archive for Archive: another name of the file to.
func Hardlink(name, to string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}

// Archive returns a tar archive of the entries. An entry without an owner gets
// that of the test's process.
func Archive(t testing.TB, entries ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := *e
		body := h.PAXRecords["TEST.body"]
		h.PAXRecords = map[string]string{}
		for k, v := range e.PAXRecords {
			if k != "TEST.body" {
				h.PAXRecords[k] = v
			}
		}
		h.Size, h.ModTime, h.Format = int64(len(body)), SomeTime, tar.FormatPAX
		if h.Uid == 0 && h.Gid == 0 {
			h.Uid, h.Gid = os.Geteuid(), os.Getegid()
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Rootfs returns the archive of a small root filesystem with more entries.
func Rootfs(t testing.TB, more ...*tar.Header) []byte {
	t.Helper()
	return Archive(t, append([]*tar.Header{
		Dir("etc/"), File("etc/os-release", "ID=test\nVERSION_ID=\"7\"\n"), Dir("sbin/"), File("sbin/init", "#!/bin/sh\n"),
	}, more...)...)
}

// List returns a tree as text, one line for each file: mode, name, and the link
// target, content, link count (unless it is 1) or device number.
func List(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		name = strings.ReplaceAll(name, "\n", `\n`) // one line a file
		in, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%v %s", in.Mode(), name)
		switch {
		case in.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			line += " -> " + to
		case in.Mode().IsRegular():
			text, _ := os.ReadFile(p)
			line += fmt.Sprintf(" %q", text)
			if st.Nlink > 1 {
				line += fmt.Sprintf(" links=%d", st.Nlink)
			}
		case in.Mode()&fs.ModeCharDevice != 0:
			line += fmt.Sprintf(" dev=%d", st.Rdev)
		}
		b.WriteString(line + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// OneLine fails the test unless err is an error with a message of one line.
func OneLine(t testing.TB, err error) {
	t.Helper()
	if err == nil || err.Error() == "" || strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("not one line: %q", err)
	}
}

// InMountNamespace runs f on a thread with a mount namespace of its own. The test
// fails if the mounts of the process are different afterwards. It needs root.
func InMountNamespace(t *testing.T, f func()) {
	t.Helper()
	NeedRoot(t)
	before := Mounts(t)
	if err := nsthread.PrivateMounts(f); err != nil {
		t.Error(err)
	}
	if after := Mounts(t); after != before {
		t.Errorf("mounts were\n%sand are\n%s", before, after)
	}
}

// Must reports err as an error of the test unless it is nil. The test goes on.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// Mounts returns the mounts of the process as text.
func Mounts(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Jail creates a directory for unpacking, with other files around it. The second
// result fails the test if one of those files has changed.
func Jail(t testing.TB) (inside string, untouched func()) {
	t.Helper()
	top := t.TempDir()
	inside = filepath.Join(top, "a", "b", "inside")
	outside := filepath.Join(top, "outside")
	for _, d := range []string{inside, outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(outside, "secret"), filepath.Join(top, "a", "secret")} {
		if err := os.WriteFile(f, []byte("untouched"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	look := func() string {
		var b strings.Builder
		for line := range strings.Lines(List(t, top)) {
			if !strings.Contains(line, " a/b/inside/") {
				b.WriteString(line)
			}
		}
		return b.String()
	}
	before := look()
	return inside, func() {
		t.Helper()
		if after := look(); after != before {
			t.Errorf("outside was\n%sand is\n%s", before, after)
		}
	}
}

// Owner returns the owner of a file as "UID:GID".
func Owner(t *testing.T, name string) string {
	t.Helper()
	var st unix.Stat_t
	Must(t, unix.Lstat(name, &st))
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}
