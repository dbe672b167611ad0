package delta

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Plan says what a layer has that makes the new state of the old one. The layer is
// written in the order of the new entries.
type Plan struct {
	Size int64 // about how many bytes its archive has
	// Uncovered are paths at which the old state hides the layers below, and the new one does
	// not. If the layers below have something at one of them, the plan is wrong.
	Uncovered []string

	paths  map[string]bool     // entries of the new state
	opaque map[string]bool     // directories among them that hide everything below
	gone   map[string][]string // by directory: the names of what it does not have any more
}

// Has reports whether the layer has the entry at path of the new state. If it does not have
// a directory, it has nothing in it.
func (p *Plan) Has(path string) bool { return p.paths[path] }

// Opaque reports whether the layer hides everything below the directory path.
func (p *Plan) Opaque(path string) bool { return p.opaque[path] }

// Gone returns the names that the layer hides in the directory path, "" for the root, sorted:
// the new state has no entries for them.
func (p *Plan) Gone(path string) []string { return p.gone[path] }

// Empty reports whether nothing has changed.
func (p *Plan) Empty() bool { return len(p.paths)+len(p.gone) == 0 }

// A node is a directory, or another entry, with its place in the tree.
type node struct {
	*Entry          // nil: the root
	above  *node    // its directory
	under  []*node  // sorted by name
	names  []string // of a File: its other names
}

func (n *node) path() string {
	if n.Entry == nil {
		return ""
	}
	return n.Path
}

func (n *node) base() string { return n.Path[strings.LastIndexByte(n.Path, '/')+1:] }

// A state is the entries of a layer as a tree.
type state struct {
	root *node
	at   map[string]*node
}

// stateOf returns the tree of entries, whose order is that of a Packer.
func stateOf(all []Entry) (state, error) {
	s := state{root: &node{}, at: make(map[string]*node, len(all))}
	for i := range all {
		e := &all[i]
		above := s.root
		if dir := strings.LastIndexByte(e.Path, '/'); dir >= 0 {
			above = s.at[e.Path[:dir]]
		}
		n := &node{Entry: e, above: above}
		switch {
		case above == nil || above != s.root && !above.isDir():
			return s, fmt.Errorf("%.200q is in no directory", e.Path)
		case s.at[e.Path] != nil || n.base() == "":
			return s, fmt.Errorf("%.200q is there twice", e.Path)
		case len(above.under) > 0 && above.under[len(above.under)-1].base() >= n.base():
			return s, fmt.Errorf("%.200q is not in order", e.Path)
		}
		if e.Kind == Name {
			of := s.at[e.Of]
			if of == nil || of.Kind != File {
				return s, fmt.Errorf("%.200q is a name of nothing", e.Path)
			}
			of.names = append(of.names, e.Path)
		}
		above.under = append(above.under, n)
		s.at[e.Path] = n
	}
	return s, nil
}

// file returns the File that n is a name of.
func (s state) file(n *node) *node {
	if n.Kind == Name {
		return s.at[n.Of]
	}
	return n
}

// finish adds to the plan what belongs to its entries: all names of a file with several,
// and all directories on the way, so that these keep their attributes.
func (p *Plan) finish(s state) {
	for _, n := range s.at {
		if n.Kind != File || len(n.names) == 0 {
			continue
		}
		if p.paths[n.Path] || slices.ContainsFunc(n.names, func(name string) bool { return p.paths[name] }) {
			p.paths[n.Path] = true
			for _, name := range n.names {
				p.paths[name] = true
			}
		}
	}
	for _, path := range slices.Collect(maps.Keys(p.paths)) {
		p.addDirs(s.at[path].above)
	}
	for dir, names := range p.gone {
		if dir != "" {
			p.addDirs(s.at[dir])
		}
		p.Size += int64(len(names)) * overhead
	}
	for path := range p.paths {
		p.Size += s.at[path].size()
	}
	slices.Sort(p.Uncovered)
}

// addDirs adds the directory dir and those above it.
func (p *Plan) addDirs(dir *node) {
	for ; dir.Entry != nil && !p.paths[dir.Path]; dir = dir.above {
		p.paths[dir.Path] = true
	}
}
