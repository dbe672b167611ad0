package template

import (
	"bytes"
	"strings"
	"testing"

	"croft/template/roottest"
)

// An import warns of a root filesystem that an upgrade cannot merge on an overlay.
func TestImportWithoutMergedUsr(t *testing.T) {
	roottest.NeedRoot(t)
	var warnings []string
	s := newStore(t, Options{Warn: func(w string) { warnings = append(warnings, w) }})
	usr := roottest.Dir("usr/bin/")
	for name, c := range map[string]struct {
		archive []byte
		warns   bool
	}{
		"old":    {roottest.Archive(t, roottest.Dir("bin/"), usr, roottest.Dir("var/lib/dpkg/")), true},
		"merged": {roottest.Archive(t, usr, roottest.Symlink("bin", "usr/bin"), roottest.Dir("var/lib/dpkg/")), false},
		"other":  {roottest.Archive(t, roottest.Dir("bin/"), usr), false},
	} {
		warnings = nil
		if _, err := s.Import(t.Context(), name, bytes.NewReader(c.archive), ImportOptions{}); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(strings.Join(warnings, "\n"), "--storage plain"); got != c.warns {
			t.Errorf("%s: warnings %q", name, warnings)
		}
	}
}
