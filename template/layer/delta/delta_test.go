package delta

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
)

// parse returns entries from text, one on each line: "d/" is a directory, "d/=" one that
// hides, "-f" a whiteout, "f" a file, "f:x" one with another sum, and "f>g" another name of g.
func parse(text string) (all []Entry) {
	for line := range strings.FieldsSeq(text) {
		e := Entry{Kind: File, Size: 10}
		line, sum, _ := strings.Cut(line, ":")
		copy(e.Sum[:], sum)
		switch {
		case strings.HasPrefix(line, "-"):
			e = Entry{Kind: Whiteout, Path: line[1:]}
		case strings.HasSuffix(line, "/="):
			e.Kind, e.Path, e.Size = Opaque, line[:len(line)-2], 0
		case strings.HasSuffix(line, "/"):
			e.Kind, e.Path, e.Size = Dir, line[:len(line)-1], 0
		case strings.Contains(line, ">"):
			name, of, _ := strings.Cut(line, ">")
			e = Entry{Kind: Name, Path: name, Of: of}
		default:
			e.Path = line
		}
		all = append(all, e)
	}
	return all
}

// text returns the plan as text: "+" entries of the new state, "=" directories that hide
// everything below, "-" names that are gone, "?" paths that must not be below.
func (p *Plan) text() string {
	var all []string
	for path := range p.paths {
		mark := "+"
		if p.opaque[path] {
			mark = "="
		}
		all = append(all, mark+path)
	}
	for dir, names := range p.gone {
		for _, name := range names {
			all = append(all, "-"+path.Join(dir, name))
		}
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	for _, path := range p.Uncovered {
		all = append(all, "?"+path)
	}
	return strings.Join(all, " ")
}

func TestCompare(t *testing.T) {
	plain, data := Layout{Plain: true}, Layout{Data: []string{"v"}}
	for _, c := range []struct {
		name     string
		layout   Layout
		old, new string
		want     string
	}{
		{"nothing", Layout{}, "d/ d/f -g", "d/ d/f -g", ""},
		{"a new file, and its directories", Layout{}, "d/ d/e/ d/e/f x", "d/ d/e/ d/e/f d/e/g x", "+d +d/e +d/e/g"},
		{"a changed file", Layout{}, "d/ d/f x", "d/ d/f:2 x", "+d +d/f"},
		{"a changed directory", Layout{}, "d/ d/f x", "d/:2 d/f x", "+d"},
		{"a removed file", Layout{}, "d/ d/f d/g", "d/ d/g", "+d -d/f ?d/f"},
		{"a file of the root removed", Layout{}, "f g", "g", "-f ?f"},
		{"a file of a layer below removed", Layout{}, "d/", "d/ -d/f", "+d +d/f"},
		{"a file of a layer below removed that was changed", Layout{}, "d/ d/f", "d/ -d/f", "+d +d/f"},
		{"a removed file again there", Layout{}, "-f", "f", "+f"},
		{"a removed file shown again", Layout{}, "-f", "", "?f"},
		{"a renamed directory", Layout{}, "a/ a/b/ a/b/f", "c/ c/b/ c/b/f", "-a +c +c/b +c/b/f ?a"},
		{"a directory in the place of a file", Layout{}, "a", "a/ a/f", "+a +a/f ?a"},
		{"a directory in the place of a removed one", Layout{}, "-a", "a/= a/f", "=a +a/f"},
		{"a file in the place of a directory", Layout{}, "a/ a/f", "a", "+a"},
		{"a directory that hides now", Layout{}, "a/ a/f -a/g", "a/= a/f", "=a +a/f"},
		{"a directory that still hides", Layout{}, "a/= a/f a/g", "a/= a/f:2", "+a +a/f -a/g"},
		{"a directory that hides no more", Layout{}, "a/= a/f", "a/ a/f a/g", "+a +a/g ?a"},
		{"a directory that hides in a new one", Layout{}, "", "a/ a/b/= a/b/f", "+a =a/b +a/b/f"},
		{"hard links", Layout{}, "d/ d/f d/g>d/f x", "d/ d/f d/g>d/f x", ""},
		{"the content of hard links", Layout{}, "a/ a/f d/ d/g>a/f x", "a/ a/f:2 d/ d/g>a/f x", "+a +a/f +d +d/g"},
		{"a new hard link", Layout{}, "a/ a/f d/ d/g>a/f", "a/ a/f d/ d/g>a/f d/h>a/f", "+a +a/f +d +d/g +d/h"},
		{"a hard link less", Layout{}, "a/ a/f d/ d/g>a/f d/h>a/f", "a/ a/f d/ d/g>a/f", "+a +a/f +d +d/g -d/h ?d/h"},
		{"the first name less", Layout{}, "f g>f h>f", "g h>g", "-f +g +h ?f"},
		{"no hard link any more", Layout{}, "f g>f", "f g", "+f +g"},
		{"a hard link from a new directory", Layout{}, "f g>f", "a/ a/h f>a/h g>a/h", "+a +a/h +f +g"},
		{"a hard link to what hides now", Layout{}, "a/ a/f g>a/f", "a/= a/f g>a/f", "=a +a/f +g"},

		{"plain: a new directory", plain, "a/ a/f", "a/ a/b/ a/b/f a/f", "+a =a/b +a/b/f"},
		{"plain: a removed file", plain, "a/ a/f a/g", "a/ a/g", "+a -a/f"},
		{"plain: a whiteout stays", plain, "a/ -a/f a/g", "a/ -a/f a/g:2", "+a +a/g"},
		{"plain: a whiteout is removed", plain, "a/ -a/f", "a/", "+a -a/f"},
		{"plain: a new whiteout", plain, "a/ a/b/ a/b/f a/g", "a/ a/b/ a/b/f -a/g", "=a +a/b +a/b/f +a/g"},
		{"plain: a new whiteout in the root", plain, "", "-f", "error"},
		{"plain: marks", plain, "a/ a/b/=", "a/ a/b/=", "error"},

		{"data: a removed file", data, "v/ v/f v/g", "v/ v/g", "+v -v/f ?v"},
		{"data: hides", data, "v/= v/f v/g", "v/= v/g", "+v -v/f"},
		{"data: hides now", data, "v/ v/f v/g", "v/= v/g", "=v +v/g"},
		{"data: a new directory", data, "v/= v/f", "v/= v/a/ -v/a/f v/f", "+v =v/a +v/a/f"},
		{"data: a new whiteout", data, "v/= v/a/ v/a/f", "v/= v/a/ v/a/f -v/a/g", "+v =v/a +v/a/f +v/a/g"},
		{"data: marks", data, "v/= v/a/= v/f", "v/= v/a/= v/f", ""},
		{"data: marks, and a change", data, "v/= v/a/= v/f", "v/= v/a/= v/f:2", "=v =v/a +v/f"},
		{"data: is new", data, "", "v/ -v/f", "+v +v/f"},
		{"damaged: no directory", Layout{}, "a/f", "", "error"},
		{"damaged: twice", Layout{}, "f f", "", "error"},
		{"damaged: order", Layout{}, "b a", "", "error"},
		{"damaged: a name of nothing", Layout{}, "b>a", "", "error"},
	} {
		p, err := Compare(parse(c.old), parse(c.new), c.layout)
		got := "error"
		if err == nil {
			got = p.text()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if err == nil && p.Empty() != (c.want == "" || c.want == "?f") {
			t.Errorf("%s: Empty is %v", c.name, p.Empty())
		}
	}
}

// Whatever the states are: the plan above the old state shows what the new one shows, also
// after several pushes, and what is hard linked is in one layer.
func TestPlansOfRandomStates(t *testing.T) {
	for seed := range uint64(10000) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := Layout{Plain: seed%3 == 0, Data: []string{"a"}}
		m := model{layout: l}
		if !l.Plain {
			m.layers = [][]Entry{random(r, false)}
		}
		below := len(m.layers)
		old := random(r, true)
		m.layers = append(m.layers, old)
		for range 3 {
			now := changed(r, old)
			p, err := Compare(old, now, l)
			if err != nil {
				break // all files are sent
			}
			seen := view(m.layers[:below])
			if slices.ContainsFunc(p.Uncovered, func(path string) bool { return seen[path] != "" }) {
				break
			}
			m.layers = append(m.layers, apply(t, p, now))
			got := view(m.layers)
			want := view(append(slices.Clone(m.layers[:below]), now))
			if l.Plain {
				got, want = m.restored(""), raw(now, "")
			}
			if !maps.Equal(got, want) {
				t.Fatalf("seed %d: it shows\n%v, and not\n%v, with\n%v\nold %v\nnew %v\nplan %s", seed, got, want, m, old, now, p.text())
			}
			if !l.Plain && direct(now, seen) {
				if got, want := m.restored("a/"), raw(now, "a/"); !maps.Equal(got, want) {
					t.Fatalf("seed %d: a/ is\n%v, and not\n%v, with\n%v\nold %v\nnew %v\nplan %s", seed, got, want, m, old, now, p.text())
				}
			}
			old = now
		}
	}
}

// direct reports whether the directory a has all that a VPS sees there. below is what the
// layers below show.
func direct(all []Entry, below map[string]string) bool {
	return slices.ContainsFunc(all, func(e Entry) bool {
		return e.Path == "a" && (e.Kind == Opaque || e.Kind == Dir && below["a"] == "")
	})
}

// A model is the layers of an image, the lowest first.
type model struct {
	layout Layout
	layers [][]Entry
}

// random returns a state.
func random(r *rand.Rand, marks bool) (all []Entry) {
	var files []string
	var dir func(prefix string, depth int)
	dir = func(prefix string, depth int) {
		for _, name := range []string{"a", "b", "c"} {
			e := Entry{Path: prefix + name}
			e.Sum[0] = byte(r.IntN(2))
			switch n := r.IntN(9); {
			case n < 2 && depth < 3:
				e.Kind = Dir
				if marks && depth > 0 && r.IntN(4) == 0 || marks && r.IntN(3) == 0 {
					e.Kind = Opaque
				}
			case n == 2 && len(files) > 0:
				e = Entry{Path: prefix + name, Kind: Name, Of: files[r.IntN(len(files))]}
			case n == 3 && marks:
				e = Entry{Path: prefix + name, Kind: Whiteout}
			case n < 6:
				e.Kind = File
				files = append(files, e.Path)
			default:
				continue
			}
			all = append(all, e)
			if e.isDir() {
				dir(e.Path+"/", depth+1)
			}
		}
	}
	dir("", 0)
	return all
}

// changed returns a state in which a part of old has changed.
func changed(r *rand.Rand, old []Entry) []Entry {
	if r.IntN(4) == 0 {
		return random(r, true)
	}
	var all []Entry
	gone := map[string]bool{}
	for _, e := range old {
		dir := path.Dir(e.Path)
		if gone[dir] || gone[e.Of] || r.IntN(8) == 0 {
			gone[e.Path] = true
			if e.Kind == File && !gone[dir] && r.IntN(3) == 0 {
				all = append(all, Entry{Path: e.Path, Kind: Whiteout})
			}
			continue
		}
		if e.Kind != Name && e.Kind != Whiteout && r.IntN(8) == 0 {
			e.Sum[0]++
		}
		all = append(all, e)
	}
	return all
}

// apply returns the layer that a Packer writes: hidden names and marks included.
func apply(t *testing.T, p *Plan, now []Entry) (all []Entry) {
	t.Helper()
	add := func(dir string) {
		for _, name := range p.Gone(dir) {
			all = append(all, Entry{Path: path.Join(dir, name), Kind: Whiteout})
		}
	}
	add("")
	for _, e := range now {
		if !p.Has(e.Path) {
			continue
		}
		if e.isDir() {
			e.Kind = Dir
			if p.Opaque(e.Path) {
				e.Kind = Opaque
			}
		}
		if e.Kind == Name && !p.Has(e.Of) {
			t.Fatalf("%s is in the layer without %s", e.Path, e.Of)
		}
		if dir := path.Dir(e.Path); dir != "." && !p.Has(dir) {
			t.Fatalf("%s is in the layer without its directory", e.Path)
		}
		all = append(all, e)
		if e.isDir() {
			add(e.Path)
		}
	}
	return all
}

// shown is what a view has of an entry. layer is its number, as hard links do not
// reach other layers.
func shown(all []Entry, e Entry) string {
	if e.Kind == Name {
		i := slices.IndexFunc(all, func(f Entry) bool { return f.Path == e.Of })
		return shown(all, all[i])
	}
	if e.isDir() {
		return fmt.Sprint("dir ", e.Sum[0])
	}
	var names []string
	for _, n := range all {
		if n.Of == e.Path {
			names = append(names, n.Path)
		}
	}
	return fmt.Sprint("file ", e.Sum[0], e.Path, names)
}

// view returns what an overlay of layers shows.
func view(layers [][]Entry) map[string]string {
	seen := map[string]string{}
	for _, all := range layers {
		for _, e := range all {
			if e.Kind == Whiteout || e.Kind == Opaque || !e.isDir() || !strings.HasPrefix(seen[e.Path], "dir") {
				drop(seen, e.Path)
			}
			if e.Kind != Whiteout {
				seen[e.Path] = shown(all, e)
			}
		}
	}
	return seen
}

func drop(seen map[string]string, path string) {
	maps.DeleteFunc(seen, func(name, _ string) bool { return name == path || strings.HasPrefix(name, path+"/") })
}

// restored returns the files below prefix as a restore copies them where no overlay is: the
// lowest layer as it is, then each one above it.
func (m model) restored(prefix string) map[string]string {
	has := map[string]string{}
	for _, all := range m.layers {
		hides := ""
		for _, e := range all {
			inside := hides != "" && strings.HasPrefix(e.Path, hides)
			if !inside && e.Kind == Opaque {
				hides = e.Path + "/"
			}
			if !e.isDir() || e.Kind == Opaque || !strings.HasPrefix(has[e.Path], "dir") {
				_, had := has[e.Path]
				drop(has, e.Path)
				if e.Kind == Whiteout && had && !inside {
					continue
				}
			}
			if e.Kind == Whiteout {
				has[e.Path] = "whiteout"
			} else {
				has[e.Path] = shown(all, e)
			}
		}
	}
	maps.DeleteFunc(has, func(name, _ string) bool { return !strings.HasPrefix(name, prefix) })
	return has
}

// raw returns the files of a state as they are.
func raw(all []Entry, prefix string) map[string]string {
	return model{layers: [][]Entry{all}}.restored(prefix)
}

func TestRecord(t *testing.T) {
	r := Record{
		Below: []string{"sha256:1"}, Entries: parse("a/ a/f:one a/g>a/f a/h-\xff:two b/= -c"),
		Layers: []Layer{{DiffID: "sha256:2", MediaType: "m", Digest: "sha256:3", BlobSize: 4, Size: 5000}},
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(r) {
		t.Errorf("it reads %v, %v", got, err)
	}
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 1
		if _, err := Decode(damaged); err == nil {
			t.Errorf("damage at byte %d is not found", i)
		}
		if _, err := Decode(b[:i]); err == nil {
			t.Errorf("%d bytes of it are valid", i)
		}
	}
	if !r.Fits([]string{"sha256:1"}, "m") || r.Fits(nil, "m") || r.Fits([]string{"sha256:1"}, "n") {
		t.Error("it fits others")
	}
	plan := func(size int64) *Plan { return &Plan{Size: size, paths: map[string]bool{"a": true}} }
	more := r
	for range 15 {
		more = more.With(nil, Layer{Size: 100})
	}
	for _, c := range []struct {
		r    Record
		plan *Plan
		want bool
	}{
		{r, plan(3000), true}, {r, plan(3001), false},
		{more, plan(1500), true}, {more, plan(1501), false},
		{more, plan(1), true}, {more.With(nil, Layer{}), plan(1), false}, {more.With(nil, Layer{}), &Plan{}, true},
	} {
		if got := c.r.Takes(c.plan, 4000); got != c.want {
			t.Errorf("%d layers, and %d bytes: %v", len(c.r.Layers), c.plan.Size, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := Record{Layers: []Layer{{}}, Entries: parse("a/ a/f:one a/g>a/f")}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[len(magic)+65:])
	f.Fuzz(func(t *testing.T, body []byte) {
		d := decoder{rest: body}
		for last := ""; len(d.rest) > 0 && !d.bad; {
			last = d.entry(last).Path
		}
	})
}
