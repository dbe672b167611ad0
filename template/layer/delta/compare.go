package delta

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// A Layout says which directories a VPS sees as they are, and not through an overlay. There
// a Whiteout belongs to a container engine inside, and hides nothing.
type Layout struct {
	Plain bool     // all of them: the files are a plain tree
	Data  []string // these; see rootfs.DataPaths
}

// Errors of Compare.
var (
	errMarks = errors.New("a plain tree has marks of an overlay that a layer cannot have")
	errRoot  = errors.New("the root directory has a new whiteout of a container engine")
)

// Compare plans a layer above the old state, whatever layers that is made of. What a VPS sees
// through an overlay of the three is what it sees with the new state alone, if the same
// layers are below. An error says why there is no such layer, or that the entries
// are damaged.
//
// In directories that a VPS sees as they are, a whiteout of the layer removes what is there
// at a restore, unless the layer says that its directory hides everything below: then it is
// one of a container engine. So such a directory is in the layer with all its content.
func Compare(old, new []Entry, l Layout) (*Plan, error) {
	was, err := stateOf(old)
	if err != nil {
		return nil, err
	}
	now, err := stateOf(new)
	if err != nil {
		return nil, err
	}
	c := &comparison{
		Plan: &Plan{paths: map[string]bool{}, opaque: map[string]bool{}, gone: map[string][]string{}},
		data: l.Data, was: was, now: now,
	}
	if l.Plain && (marked(was.root) || marked(now.root)) {
		return nil, errMarks
	}
	c.dir(was.root, now.root, how{hidden: l.Plain, direct: l.Plain})
	if c.err != nil {
		return nil, c.err
	}
	c.finish(now)
	return c.Plan, nil
}

// marked reports whether a directory below n is Opaque.
func marked(n *node) bool {
	return slices.ContainsFunc(n.under, func(n *node) bool { return n.Kind == Opaque || marked(n) })
}

type comparison struct {
	*Plan
	was, now state
	data     []string
	err      error
}

// how a directory is compared.
type how struct {
	hidden bool // the old state hides the layers below: they are not seen
	direct bool // a VPS sees it as it is, and not through an overlay
}

// dir compares the content of a directory that both states have.
func (c *comparison) dir(o, n *node, h how) {
	if h.direct && gainsWhiteout(o, n) {
		if n.Entry == nil {
			c.err = errRoot
			return
		}
		c.whole(n, h)
		return
	}
	old, now := o.under, n.under
	for len(old) > 0 || len(now) > 0 {
		var one, two *node
		switch order := first(old, now); {
		case order < 0:
			one, old = old[0], old[1:]
		case order > 0:
			two, now = now[0], now[1:]
		default:
			one, two, old, now = old[0], now[0], old[1:], now[1:]
		}
		if two == nil {
			c.vanished(n, one, h)
		} else {
			c.entry(one, two, h)
		}
	}
}

// first compares the names of the first nodes.
func first(a, b []*node) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return cmp.Compare(a[0].base(), b[0].base())
}

// gainsWhiteout reports whether the directory n has a whiteout that o does not have.
func gainsWhiteout(o, n *node) bool {
	for _, e := range n.under {
		if e.Kind != Whiteout {
			continue
		}
		i, found := slices.BinarySearchFunc(o.under, e.base(), func(had *node, name string) int { return strings.Compare(had.base(), name) })
		if !found || o.under[i].Kind != Whiteout {
			return true
		}
	}
	return false
}

// vanished plans for an old entry that the directory dir does not have any more.
func (c *comparison) vanished(dir, o *node, h how) {
	if !h.hidden {
		c.Uncovered = append(c.Uncovered, o.Path)
	}
	if o.Kind != Whiteout || h.direct {
		c.gone[dir.path()] = append(c.gone[dir.path()], o.base())
	}
}

// entry plans for a new entry; o is nil if it was not there.
func (c *comparison) entry(o, n *node, h how) {
	switch {
	case n.isDir():
		c.directory(o, n, h)
	case n.Kind == Whiteout:
		if o == nil || o.Kind != Whiteout {
			c.paths[n.Path] = true
		}
	case o == nil || !c.same(o, n):
		c.paths[n.Path] = true
	}
}

// directory plans for a directory; o is nil if nothing was there.
func (c *comparison) directory(o, n *node, h how) {
	data := !h.direct && slices.Contains(c.data, n.Path)
	switch {
	case o == nil:
		c.whole(n, h)
	case !o.isDir():
		if n.Kind == Dir && !h.hidden {
			c.Uncovered = append(c.Uncovered, n.Path)
		}
		c.whole(n, h)
	case n.Kind == Opaque && o.Kind == Dir:
		c.whole(n, h)
	default:
		if n.Kind == Dir && (o.Kind == Opaque || data) && !h.hidden {
			c.Uncovered = append(c.Uncovered, n.Path)
		}
		c.both(o, n, how{hidden: h.hidden || o.Kind == Opaque || data, direct: h.direct || data}, data)
	}
}

// both compares a directory that both states have. data says that it is one of Layout.
func (c *comparison) both(o, n *node, h how, data bool) {
	if data && (marked(o) || marked(n)) {
		if !c.equal(o, n) { // a layer cannot say what such a mark is
			c.whole(n, h)
		}
		return
	}
	if o.Sum != n.Sum {
		c.paths[n.Path] = true
	}
	c.dir(o, n, h)
}

// whole adds the directory n with all its content.
func (c *comparison) whole(n *node, h how) {
	c.paths[n.Path] = true
	if n.Kind == Opaque || h.direct {
		c.opaque[n.Path] = true
	}
	for _, e := range n.under {
		if e.isDir() {
			c.whole(e, how{})
		} else {
			c.paths[e.Path] = true
		}
	}
}

// same reports whether two entries that are not directories are the same file, with the
// same other names.
func (c *comparison) same(o, n *node) bool {
	if o.Kind != n.Kind || o.Of != n.Of {
		return false
	}
	o, n = c.was.file(o), c.now.file(n)
	return o.Sum == n.Sum && slices.Equal(o.names, n.names)
}

// equal reports whether two directories and all their content are the same.
func (c *comparison) equal(o, n *node) bool {
	return o.Kind == n.Kind && o.Sum == n.Sum && slices.EqualFunc(o.under, n.under, func(o, n *node) bool {
		switch {
		case o.base() != n.base() || o.Kind != n.Kind:
			return false
		case n.isDir():
			return c.equal(o, n)
		}
		return n.Kind == Whiteout || c.same(o, n)
	})
}
