package tree

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/rootfs"
	"croft/template/roottest"
)

// stack returns layers with the host's ids.
func stack(dirs ...string) (all []rootfs.Frozen) {
	for _, dir := range dirs {
		all = append(all, rootfs.Frozen{Dir: dir})
	}
	return all
}

// differences returns the result of Diff, one line for each change.
func (l layers) differences(t testing.TB, old, new []rootfs.Frozen) string {
	t.Helper()
	var b strings.Builder
	err := Diff(t.Context(), filepath.Join(l.top, "view"), old, new, func(c Change) error {
		fmt.Fprintf(&b, "%v %q\n", c.Kind, c.Path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDiff(t *testing.T) {
	roottest.NeedRoot(t)
	for name, c := range map[string]struct{ script, up, down string }{
		"files": {`
			file base/dir/same
			file base/dir/gone
			file base/dir/changed
			file base/zz
			file upper/dir/added
			file upper/dir/changed
			whiteout upper/dir/gone
			whiteout upper/dir/nothing`,
			`C /dir, A /dir/added, C /dir/changed, D /dir/gone`,
			`C /dir, D /dir/added, C /dir/changed, A /dir/gone`},
		"directories": {`
			file base/gone/sub/file
			whiteout upper/gone
			file upper/new/sub/file
			file base/a-file/x
			file base/b/x
			whiteout upper/b
			file upper/a-file/sub/x`,
			`C /a-file, A /a-file/sub, A /a-file/sub/x, D /b, D /gone, A /new, A /new/sub, A /new/sub/file`,
			`C /a-file, D /a-file/sub, A /b, A /b/x, A /gone, A /gone/sub, A /gone/sub/file, D /new`},
		"kinds": {`
			file base/to-dir
			file upper/to-dir/x
			file base/to-file/x
			file upper/to-file`,
			`C /to-dir, A /to-dir/x, C /to-file`,
			`C /to-dir, C /to-file, A /to-file/x`},
		"an opaque directory hides files that no changed layer has": {`
			file base/dir/base
			file base/dir/sub/base
			opaque upper/dir
			file upper/dir/sub/new`,
			`C /dir, D /dir/base, C /dir/sub, D /dir/sub/base, A /dir/sub/new`,
			`C /dir, A /dir/base, C /dir/sub, A /dir/sub/base, D /dir/sub/new`},
		"two directories were exchanged": {`
			file base/a/x
			file base/b/y
			redirect upper/a /b
			redirect upper/b /a`,
			`C /a, D /a/x, A /a/y, C /b, A /b/x, D /b/y`,
			`C /a, A /a/x, D /a/y, C /b, D /b/x, A /b/y`},
		"a whiteout ends a directory": {`
			file base/dir/base
			whiteout lower/dir
			file upper/dir/upper`,
			`C /dir, D /dir/base, A /dir/upper`,
			`C /dir, A /dir/base, D /dir/upper`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLayers(t)
			l.script(t, c.script)
			up := l.differences(t, stack(l.base), stack(l.upper, l.lower, l.base))
			down := l.differences(t, stack(l.upper, l.lower, l.base), stack(l.base))
			words := func(s string) string {
				return strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(s), "\n", ", "), `"`, "")
			}
			if words(up) != c.up || words(down) != c.down {
				t.Errorf("up   %s\nwant %s\ndown %s\nwant %s", words(up), c.up, words(down), c.down)
			}
			if got := l.differences(t, stack(l.upper, l.lower, l.base), stack(l.upper, l.lower, l.base)); got != "" {
				t.Errorf("a stack and itself: %s", got)
			}
		})
	}
}

// Layers have different ids on disk, and the same owners inside.
func TestDiffComparesOwnersInside(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	l.script(t, "file base/dir/file\nfile base/dir/owned\nfile base/dir/capable")
	capable := "\x00\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	roottest.Must(t, unix.Setxattr(filepath.Join(l.base, "dir/capable"), "security.capability", []byte(capable), 0))
	for dir, first := range map[string]int{l.lower: 1 << 20, l.upper: 1 << 21} {
		c := startCopy(t, l.base, filepath.Join(dir, "copy"))
		passed(t)(c.LastPass(t.Context()))
		copied := filepath.Join(dir, "copy")
		roottest.Must(t, filepath.Walk(copied, func(p string, in os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			if err := os.Lchown(p, first, first); err != nil || in.IsDir() {
				return err
			}
			mtime := in.ModTime()
			return os.Chtimes(p, mtime, mtime)
		}))
		value := strings.Replace(capable, "\x02", "\x03", 1) + string([]byte{0, 0, byte(first >> 16), 0})
		roottest.Must(t, unix.Setxattr(filepath.Join(copied, "dir/capable"), "security.capability", []byte(value), 0))
	}
	roottest.Must(t, os.Lchown(filepath.Join(l.upper, "copy/dir/owned"), 1<<21+5, 1<<21))
	base := rootfs.Frozen{Dir: l.base}
	lower := rootfs.Frozen{Dir: filepath.Join(l.lower, "copy"), First: 1 << 20, Size: 1 << 16}
	upper := rootfs.Frozen{Dir: filepath.Join(l.upper, "copy"), First: 1 << 21, Size: 1 << 16}
	if got := l.differences(t, []rootfs.Frozen{base}, []rootfs.Frozen{lower, base}); got != "" {
		t.Errorf("from the template: %s", got)
	}
	if got := l.differences(t, []rootfs.Frozen{lower, base}, []rootfs.Frozen{upper, lower, base}); got != "C \"/dir/owned\"\n" {
		t.Errorf("from the lower layer: %s", got)
	}
	if got := l.differences(t, []rootfs.Frozen{upper}, []rootfs.Frozen{lower}); got != "C \"/dir/owned\"\n" {
		t.Errorf("between two layers: %s", got)
	}
}

// expected returns the differences between two trees as Exact lists them.
func expected(old, new string) string {
	parse := func(tree string) (map[string]string, []string) {
		lines := map[string]string{}
		var names []string
		for line := range strings.Lines(tree) {
			quoted, _ := strconv.QuotedPrefix(line)
			name, _ := strconv.Unquote(quoted)
			line, _, _ = strings.Cut(strings.TrimSpace(line), " link to ")
			lines[name] = line
			names = append(names, name)
		}
		return lines, names
	}
	was, before := parse(old)
	is, after := parse(new)
	isDir := func(line string) bool { return strings.Contains(line, "\" 4") && timeOfDirectory.MatchString(line) }
	all := map[string]string{}
	for _, name := range after {
		switch line, ok := was[name]; {
		case name == ".":
		case !ok:
			all[name] = "A"
		case line != is[name]:
			all[name] = "C"
		}
	}
	for _, name := range before {
		parent, ok := is[path.Dir(name)]
		if _, there := is[name]; !there && ok && isDir(parent) {
			all[name] = "D"
		}
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) })
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s %q\n", all[name], "/"+name)
	}
	return b.String()
}

func TestDiffOfRandomLayers(t *testing.T) {
	roottest.NeedRoot(t)
	for seed := range uint64(10) {
		l := newLayers(t)
		other := filepath.Join(l.top, "other")
		roottest.Must(t, os.Mkdir(other, 0o755))
		var trees []string
		stacks := [][]string{{l.base}, {l.lower, l.base}, {l.upper, l.lower, l.base}, {other, l.base}}
		roottest.InMemory(t, func(string) {
			l.redirect = seed%2 == 0
			empty := filepath.Join(l.top, "empty")
			roottest.Must(t, os.Mkdir(empty, 0o755))
			for i, dirs := range stacks {
				l.mounted(t, true, func(root string) {
					g := &guest{rand.New(rand.NewPCG(seed, uint64(i))), root}
					for range 120 {
						g.step()
					}
				}, append(slices.Clone(dirs), empty)...)
			}
			for _, dirs := range stacks {
				trees = append(trees, l.view(t, append(slices.Clone(dirs), empty)...))
			}
		})
		if t.Failed() {
			return
		}
		for i, old := range stacks {
			for j, new := range stacks {
				got := l.differences(t, stack(old...), stack(new...))
				if !roottest.SameLines(t, fmt.Sprintf("from %q to %q", old, new), got, expected(trees[i], trees[j])) {
					t.Fatalf("seed %d", seed)
				}
			}
		}
	}
}

func TestDiffEnds(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	l.script(t, "file upper/a\nfile upper/b")
	enough := errors.New("enough")
	n := 0
	err := Diff(t.Context(), filepath.Join(l.top, "view"), stack(l.base), stack(l.upper, l.base), func(Change) error {
		n++
		return enough
	})
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d changes, error %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Diff(ctx, filepath.Join(l.top, "view"), stack(l.base), stack(l.upper, l.base), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestDiffOfDeepTrees(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	nested(t, l.upper, 300, strings.Repeat("x", 100))
	got := l.differences(t, stack(l.base), stack(l.upper, l.base))
	if n := strings.Count(got, "\n"); n != 301 {
		t.Errorf("%d changes", n)
	}
}
