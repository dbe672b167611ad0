package state

import (
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
)

func TestParseName(t *testing.T) {
	for _, good := range []string{"a", "7", "web", "web-1", "a--b", strings.Repeat("x", 63)} {
		if got, err := ParseName(good); err != nil || got != good {
			t.Errorf("ParseName(%q) = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "-", "-a", "a-", ".", "..", "a.b", "a/b", "../a", "Web", "wéb", "a b", "a\n", "a\x00",
		"_pool", "a_b", "\xff", strings.Repeat("x", 64), strings.Repeat("é", 100),
	} {
		_, err := ParseName(bad)
		wantKind(t, err, fail.Usage)
	}
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"web", "", "..", "a/b", "é", "-"} {
		f.Add(seed)
	}
	s := &Store{Root: "/root-dir", RunRoot: "/run-dir"}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := ParseName(name)
		if err != nil {
			wantKind(t, err, fail.Usage)
			return
		}
		if got != name {
			t.Fatalf("ParseName(%q) = %q", name, got)
		}
		if dir := s.VPSDir(name); filepath.Dir(dir) != "/root-dir/vps" || filepath.Base(dir) != name {
			t.Fatalf("VPSDir(%q) = %q", name, dir)
		}
		if s.LockFile(name) == s.poolFile() || s.LockFile(name) == s.networkLock(name) {
			t.Fatalf("%q names one of our own locks", name)
		}
	})
}
