package filecopy

import (
	"testing"

	"croft/internal/fail"
)

func TestDecide(t *testing.T) {
	file, dir := Source{Name: "hosts"}, Source{Name: "etc", Dir: true}
	contents := Source{Name: "etc", Dir: true, Contents: true}
	for _, c := range []struct {
		about  string
		source Source
		target Target
		want   Place
		fails  fail.Kind
	}{
		{about: "a file into a directory", source: file, target: Target{Path: "/srv", Exists: true, Dir: true}, want: Place{"/srv", "hosts"}},
		{about: "a file over a file", source: file, target: Target{Path: "/srv/h", Exists: true}, want: Place{"/srv", "h"}},
		{about: "a file under a new name", source: file, target: Target{Path: "/srv/new"}, want: Place{"/srv", "new"}},
		{about: "a file to a directory that is missing", source: file, target: Target{Path: "/srv/new/"}, fails: fail.Usage},
		{about: "a file to a file as if it were a directory", source: file, target: Target{Path: "/srv/h/", Exists: true}, fails: fail.Usage},
		{about: "a directory into a directory", source: dir, target: Target{Path: "/srv/", Exists: true, Dir: true}, want: Place{"/srv/", "etc"}},
		{about: "its content into a directory", source: contents, target: Target{Path: "/srv", Exists: true, Dir: true}, want: Place{"/srv", ""}},
		{about: "a directory under a new name", source: dir, target: Target{Path: "/srv/new/"}, want: Place{"/srv", "new"}},
		{about: "its content under a new name", source: contents, target: Target{Path: "/srv/new"}, want: Place{"/srv", "new"}},
		{about: "a directory over a file", source: dir, target: Target{Path: "/srv/h", Exists: true}, fails: fail.Usage},
		{about: "a root directory into a directory", source: Source{Dir: true}, target: Target{Path: "/srv", Exists: true, Dir: true}, want: Place{"/srv", ""}},
		{about: "a relative name", source: file, target: Target{Path: "h"}, want: Place{".", "h"}},
		{about: "a name without an element", source: file, target: Target{Path: "/srv/no/.."}, fails: fail.NotFound},
	} {
		got, err := Decide(c.source, c.target)
		if c.fails != 0 && !fail.Is(err, c.fails) || c.fails == 0 && err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.about, got, err)
		}
	}
}

func TestSourceOf(t *testing.T) {
	for path, want := range map[string]Source{
		"/etc/hosts": {Name: "hosts", Dir: true},
		"/etc/":      {Name: "etc", Dir: true},
		"/etc/.":     {Name: "etc", Dir: true, Contents: true},
		"/":          {Dir: true},
		"etc":        {Name: "etc", Dir: true},
		".":          {Dir: true, Contents: true},
		"/a/../..":   {Dir: true},
	} {
		if got := SourceOf(path, true); got != want {
			t.Errorf("%s: %+v, not %+v", path, got, want)
		}
	}
}
