package roottest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Exact returns everything about a tree as text, one line for each file with its
// root: name, mode, owner, times of change of the content in nanoseconds, device
// number, target, size and content, extended attributes, and another name of the same
// file. keep selects the attributes; nil keeps all.
func Exact(t testing.TB, root string, keep func(name string) bool) string {
	t.Helper()
	var b strings.Builder
	first := map[[2]uint64]string{}
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		fmt.Fprintf(&b, "%q %o %d:%d %d.%09d", name, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " size=%d sha256=%x", st.Size, sha256.Sum256(text))
		case unix.S_IFLNK:
			to, _ := os.Readlink(p)
			fmt.Fprintf(&b, " -> %q", to)
		case unix.S_IFCHR, unix.S_IFBLK:
			fmt.Fprintf(&b, " dev=%d", st.Rdev)
		}
		all := Xattrs(t, p)
		for _, k := range slices.Sorted(maps.Keys(all)) {
			if keep == nil || keep(k) {
				fmt.Fprintf(&b, " %s=%q", k, all[k])
			}
		}
		if id := [2]uint64{st.Dev, st.Ino}; st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if other, ok := first[id]; ok {
				fmt.Fprintf(&b, " link to %q", other)
			} else {
				first[id] = name
			}
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Xattrs returns the extended attributes of a file. It does not follow a link.
func Xattrs(t testing.TB, path string) map[string]string {
	t.Helper()
	names := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		t.Fatal(path, err)
	}
	all := map[string]string{}
	for name := range bytes.SplitSeq(names[:n], []byte{0}) {
		if len(name) == 0 {
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, string(name), value)
		if err != nil {
			t.Fatal(path, string(name), err)
		}
		all[string(name)] = string(value[:n])
	}
	return all
}

// SameLines fails the test if two lists of lines differ, and reports the lines
// that only one of them has.
func SameLines(t testing.TB, what, got, want string) bool {
	t.Helper()
	if got == want {
		return true
	}
	have, need := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(got) {
		have[line] = true
	}
	for line := range strings.Lines(want) {
		need[line] = true
	}
	var diff strings.Builder
	for line := range strings.Lines(want) {
		if !have[line] {
			diff.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(got) {
		if !need[line] {
			diff.WriteString("+ " + line)
		}
	}
	t.Errorf("%s: -want +got\n%s", what, diff.String())
	return false
}
