package vps

import (
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
)

func TestParseName(t *testing.T) {
	for _, good := range []string{"a", "7", "web", "web-1", "a--b", strings.Repeat("x", 63)} {
		if got, err := ParseName(good); err != nil || string(got) != good {
			t.Errorf("ParseName(%q) = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "-", "-a", "a-", ".", "..", "a.b", "a/b", "../a", "Web", "wéb", "a b", "a\n", "a\x00",
		"_pool", "a_b", "\xff", strings.Repeat("x", 64), strings.Repeat("é", 100),
	} {
		_, err := ParseName(bad)
		wantUsage(t, err)
	}
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"web", "", "..", "a/b", "é", "-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := ParseName(name)
		if err != nil {
			wantUsage(t, err)
			return
		}
		if string(got) != name {
			t.Fatalf("ParseName(%q) = %q", name, got)
		}
		if dir := filepath.Join("/root-dir", name); filepath.Dir(dir) != "/root-dir" || filepath.Base(dir) != name {
			t.Fatalf("the directory of %q is %q", name, dir)
		}
		if strings.ContainsAny(name, "._") {
			t.Fatalf("%q can be one of croft's own files", name)
		}
	})
}

func wantUsage(t *testing.T, err error) {
	t.Helper()
	if !fail.Is(err, fail.Usage) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q (kind %d), want one line of fail.Usage", err, fail.KindOf(err))
	}
}
