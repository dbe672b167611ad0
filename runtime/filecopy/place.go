package filecopy

import (
	"path"
	"strings"

	"croft/internal/fail"
)

// A Source describes what is copied, as far as its place depends on it.
type Source struct {
	Name     string // the last element of its path; "" is the root directory
	Dir      bool
	Contents bool // its path ends with "/.": a directory's content is copied, and not the directory
}

// A Target describes what exists at the path that a copy goes to, after links.
type Target struct {
	Path   string // as the user typed it
	Exists bool
	Dir    bool
}

// A Place is where a copy goes: into the directory Dir, with the name Name.
// Name is "" if the content of a directory goes into Dir itself.
type Place struct {
	Dir, Name string
}

// Decide returns the place of a copy, by the rules of cp(1) and docker cp:
//
//   - Into a directory that exists goes the source under its own name, or the
//     content of the source if its path ends with "/.".
//   - A target that does not exist is created under its own name. Its directory
//     has to exist.
//   - A file is replaced by a file. A directory never replaces a file.
//
// An impossible combination is fail.Usage.
func Decide(s Source, t Target) (Place, error) {
	named := strings.TrimRight(t.Path, "/")
	switch {
	case t.Exists && t.Dir && (s.Contents || s.Name == ""):
		return Place{Dir: t.Path}, nil
	case t.Exists && t.Dir:
		return Place{Dir: t.Path, Name: s.Name}, nil
	case t.Exists && s.Dir:
		return Place{}, fail.New(fail.Usage, "%s is not a directory", t.Path)
	case !s.Dir && named != t.Path:
		return Place{}, fail.New(fail.Usage, "%s is not a directory", t.Path)
	}
	if last := path.Base(named); last == "." || last == ".." {
		return Place{}, fail.New(fail.NotFound, "the directory %s does not exist", t.Path)
	}
	return Place{Dir: path.Dir(named), Name: path.Base(named)}, nil
}

// SourceOf describes the source at a path, of which dir says whether it is a
// directory. A path that ends with "/" or "/." is a directory's.
func SourceOf(p string, dir bool) Source {
	s := Source{Dir: dir, Contents: p == "." || strings.HasSuffix(p, "/.")}
	if name := path.Base(path.Clean("/" + p)); name != "/" {
		s.Name = name
	}
	return s
}
