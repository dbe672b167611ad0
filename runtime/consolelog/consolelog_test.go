package consolelog

import (
	"path/filepath"
	"testing"
)

func TestLogsKeepTheNewest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	for boot := 1; boot <= keptBoots+3; boot++ {
		l, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if l.Next() != boot {
			t.Fatalf("the next boot is %d, want %d", l.Next(), boot)
		}
		f, err := l.Begin(boot)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.boots) != keptBoots || l.boots[0] != 4 {
		t.Errorf("kept %v", l.boots)
	}
	for boot, want := range map[int]int{0: 13, -1: 12, -9: 4, 5: 5, 13: 13} {
		if got, ok := l.Choose(boot); !ok || got != want {
			t.Errorf("--boot %d is %d, %v", boot, got, ok)
		}
	}
	for _, boot := range []int{-10, 3, 14} {
		if got, ok := l.Choose(boot); ok {
			t.Errorf("--boot %d is %d", boot, got)
		}
	}
}
