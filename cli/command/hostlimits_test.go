package command

import (
	"os"
	"path/filepath"
	"testing"

	"croft/internal/fail"
	"croft/runtime"
)

// The environment wins over croft.yaml, and what cannot be understood leaves the host as
// it is.
func TestKeepLimits(t *testing.T) {
	for _, c := range []struct {
		env, file string
		keep      bool
		fails     bool
	}{
		{"", "", false, false},
		{"keep", "", true, false},
		{"raise", "host-limits: keep\n", false, false},
		{"", "host-limits: keep\n", true, false},
		{"", "host-limits: raise\n", false, false},
		{"", "host-limits: often\n", true, true},
		{"often", "", true, true},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "croft.yaml"), []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		i := &Invocation{App: &App{Getenv: func(string) string { return c.env }}, Place: runtime.Options{Config: dir}}
		keep, err := i.keepLimits()
		if keep != c.keep || (err != nil) != c.fails || err != nil && !fail.Is(err, fail.Usage) {
			t.Errorf("%+v: %v, %v", c, keep, err)
		}
	}
}
