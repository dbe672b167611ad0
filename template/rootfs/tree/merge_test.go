package tree

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/layer"
	"croft/template/roottest"
)

// layers are the directories of three layers: upper is above lower is above base.
type layers struct {
	top, upper, lower, base string
	redirect                bool // directories of lower layers can be renamed
}

func newLayers(t testing.TB) layers {
	t.Helper()
	return newLayersIn(t, t.TempDir())
}

func newLayersIn(t testing.TB, top string) layers {
	t.Helper()
	in := func(name string) string { return filepath.Join(top, name) }
	for _, name := range []string{"upper", "lower", "base", "view", "work"} {
		if err := os.Mkdir(in(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return layers{top: top, upper: in("upper"), lower: in("lower"), base: in("base")}
}

// copied returns copies of the layers.
func (l layers) copied(t testing.TB) layers {
	t.Helper()
	top, err := os.MkdirTemp(l.top, "copy")
	if err != nil {
		t.Fatal(err)
	}
	to := newLayersIn(t, top)
	for _, name := range []string{"upper", "lower", "base"} {
		c := startCopy(t, filepath.Join(l.top, name), filepath.Join(to.top, name))
		passed(t)(c.LastPass(t.Context()))
		c.Close()
	}
	return to
}

// mounted calls do with an overlay of dirs, the topmost first. If write is set,
// the first one is its upper directory.
func (l layers) mounted(t testing.TB, write bool, do func(view string), dirs ...string) {
	t.Helper()
	view := filepath.Join(l.top, "view")
	options := "lowerdir=" + strings.Join(dirs, ":")
	if write {
		options = "lowerdir=" + strings.Join(dirs[1:], ":") + ",upperdir=" + dirs[0] + ",workdir=" + filepath.Join(l.top, "work")
	}
	redirect := map[bool]string{false: "off", true: "on"}[l.redirect]
	if err := unix.Mount("overlay", view, "overlay", 0, options+",metacopy=off,index=off,redirect_dir="+redirect); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(view, 0); err != nil {
			t.Error(err)
		}
	}()
	do(view)
}

// view returns the tree that an overlay of dirs shows.
func (l layers) view(t testing.TB, dirs ...string) (tree string) {
	t.Helper()
	l.mounted(t, false, func(view string) {
		tree = roottest.Exact(t, view, func(name string) bool { return name != xattrTimes })
	}, dirs...)
	return tree
}

var timeOfDirectory = regexp.MustCompile(`(?m)^("[^\n]*" 4\d{4} \d+:\d+) \S+`)

func withoutTimes(tree string) string { return timeOfDirectory.ReplaceAllString(tree, "$1") }

// A countdown is a context that ends after n questions.
type countdown struct {
	context.Context
	n int
}

func (c *countdown) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

// checkMerge merges upper and lower, interrupted after n steps, and compares what
// an overlay shows. It reports whether Merge has ended before.
func (l layers) checkMerge(t testing.TB, n int) (ended bool) {
	t.Helper()
	want := l.view(t, l.upper, l.lower, l.base)
	err := Merge(&countdown{t.Context(), n}, l.upper, l.lower)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		got := l.view(t, l.upper, l.lower, l.base)
		if !roottest.SameLines(t, fmt.Sprintf("after %d steps", n), withoutTimes(got), withoutTimes(want)) {
			t.FailNow()
		}
		if err := Merge(t.Context(), l.upper, l.lower); err != nil {
			t.Fatal(err)
		}
	}
	ok := roottest.SameLines(t, fmt.Sprintf("interrupted after %d steps, without the lower layer", n), l.view(t, l.upper, l.base), want)
	if left, err := os.ReadDir(l.lower); err != nil || len(left) > 0 {
		t.Errorf("lower has %v, %v", left, err)
	}
	if strings.Contains(roottest.Exact(t, l.upper, nil), xattrTimes) {
		t.Error("a time is kept")
	}
	if !ok {
		t.FailNow()
	}
	return err == nil
}

// checkAllMerges merges copies of the layers, each interrupted one step later.
func (l layers) checkAllMerges(t testing.TB, stride int) {
	t.Helper()
	for n := 0; ; n += stride {
		c := l.copied(t)
		if ended := c.checkMerge(t, n); ended {
			return
		}
		if err := os.RemoveAll(c.top); err != nil {
			t.Fatal(err)
		}
	}
}

// A script creates files: in each line a kind and a name. The first part of the
// name is the layer.
func (l layers) script(t testing.TB, text string) {
	t.Helper()
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		name := filepath.Join(l.top, words[1])
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		set := func(key, value string) {
			if err == nil {
				err = os.MkdirAll(name, 0o755)
			}
			if err == nil {
				err = unix.Setxattr(name, key, []byte(value), 0)
			}
		}
		switch {
		case err != nil:
		case words[0] == "dir":
			err = os.MkdirAll(name, 0o755)
		case words[0] == "file":
			err = os.WriteFile(name, []byte(words[1]), 0o644)
		case words[0] == "whiteout":
			err = unix.Mknod(name, unix.S_IFCHR, 0)
		case words[0] == "link":
			err = os.Link(filepath.Join(l.top, words[2]), name)
		case words[0] == "opaque":
			set(layer.XattrOpaque, "y")
		case words[0] == "redirect":
			set(layer.XattrRedirect, words[2])
		case words[0] == "impure":
			set(xattrImpure, "y")
		case words[0] == "data":
			set(layer.XattrOpaque, "y")
			set(xattrData, "y")
		case words[0] == "filling":
			set(xattrData, dataFilling)
		default:
			err = errors.New(line)
		}
		if err == nil && words[0] != "link" {
			old := []unix.Timespec{{Sec: 1}, {Sec: 1600000000 + int64(i), Nsec: 5}}
			for p := name; p != l.top && err == nil; p = filepath.Dir(p) {
				err = unix.UtimesNanoAt(unix.AT_FDCWD, p, old, unix.AT_SYMLINK_NOFOLLOW)
			}
		}
		if err != nil {
			t.Fatal(line, err)
		}
	}
}

func TestMerge(t *testing.T) {
	roottest.NeedRoot(t)
	for name, script := range map[string]string{
		"lower alone has them": `
			file lower/file
			file lower/dir/file
			file base/dir/base
			whiteout lower/dir/gone
			file base/dir/gone
			opaque lower/own
			file base/own/hidden
			impure lower/dir`,
		"upper hides them": `
			file lower/file
			file upper/file
			file lower/dir/sub/file
			whiteout upper/dir
			file lower/replaced/sub/file
			file upper/replaced
			file lower/opaque/sub/file
			opaque upper/opaque
			file upper/opaque/file
			whiteout lower/twice
			whiteout upper/twice
			file base/twice`,
		"both have a directory": `
			file base/dir/sub/base
			file lower/dir/sub/lower
			file upper/dir/sub/upper
			file lower/dir/sub/both
			file upper/dir/sub/both
			file lower/dir/sub/only/lower
			impure lower/dir/sub`,
		"lower's directory is opaque": `
			file base/dir/sub/base
			opaque lower/dir
			file lower/dir/sub/lower
			file lower/dir/zlower
			file upper/dir/sub/upper
			file upper/dir/own/upper`,
		"lower's file or whiteout ends the directory": `
			file base/dir/base
			file lower/dir
			file upper/dir/upper
			file base/dir2/base
			whiteout lower/dir2
			file upper/dir2/upper`,
		"hard links": `
			file lower/dir/a
			link lower/dir/b lower/dir/a
			link lower/other/c lower/dir/a
			file upper/dir/a
			file base/dir/base`,
		"whiteouts in a directory that no other layer has": `
			file lower/dir/file
			file lower/dir/kept
			whiteout upper/dir/file
			file upper/dir/own`,
		"data directories": `
			file base/var/lib/docker/base
			data lower/var/lib/docker
			file lower/var/lib/docker/lower
			file upper/var/lib/other
			data lower/var/lib/containers
			file lower/var/lib/containers/old
			data upper/var/lib/containers
			file upper/var/lib/containers/new`,
	} {
		t.Run(name, func(t *testing.T) {
			roottest.InMemory(t, func(dir string) {
				l := newLayersIn(t, dir)
				l.script(t, script)
				l.checkAllMerges(t, 1)
			})
		})
	}
}

// Overlayfs looks for the inode numbers of entries in an impure directory.
func TestMergeKeepsDirectoriesImpure(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	l.script(t, `
		file upper/dir/upper
		file lower/dir/lower
		impure lower/dir`)
	if err := Merge(t.Context(), l.upper, l.lower); err != nil {
		t.Fatal(err)
	}
	if all := roottest.Xattrs(t, filepath.Join(l.upper, "dir")); all[xattrImpure] != "y" {
		t.Errorf("%q", all)
	}
}

// A data directory that is being filled is filled again at the next start, which
// removes what it has. So it does not get files that only lower has.
func TestMergeDropsDataDirectoriesThatAreBeingFilled(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	l.script(t, `
		data lower/var/lib/docker
		file lower/var/lib/docker/file
		filling upper/var/lib/docker
		file upper/var/lib/docker/half`)
	if err := Merge(t.Context(), l.upper, l.lower); err != nil {
		t.Fatal(err)
	}
	got := roottest.List(t, filepath.Join(l.upper, "var/lib/docker"))
	all := roottest.Xattrs(t, filepath.Join(l.upper, "var/lib/docker"))
	if got != "-rw-r--r-- file \"lower/var/lib/docker/file\"\n" || all[xattrData] != "y" || all[layer.XattrOpaque] != "y" {
		t.Errorf("%s%q", got, all)
	}
}

func TestMergeOfRandomLayers(t *testing.T) {
	roottest.NeedRoot(t)
	for seed := range uint64(12) {
		roottest.InMemory(t, func(dir string) {
			l := newLayersIn(t, dir)
			use := func(root string) {
				g := &guest{rand.New(rand.NewPCG(seed, uint64(len(root)))), root}
				for range 150 {
					g.step()
				}
			}
			empty := filepath.Join(l.top, "empty")
			roottest.Must(t, os.Mkdir(empty, 0o755))
			l.mounted(t, true, use, l.base, empty)
			l.mounted(t, true, use, l.lower, l.base)
			l.mounted(t, true, use, l.upper, l.lower, l.base)
			l.checkAllMerges(t, 7)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A VPS that has changed a directory after an interrupted Merge keeps its time.
func TestMergeKeepsLaterTimes(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	l.script(t, `
		file lower/dir/a
		file lower/dir/b
		file upper/dir/c`)
	m := &merger{ctx: t.Context()}
	u, err := openRoot(filepath.Join(l.upper, "dir"))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	d := &mergeDir{merger: m, u: int(u.Fd()), l: int(u.Fd())}
	if err := d.prepare(); err != nil {
		t.Fatal(err)
	}
	later := []unix.Timespec{{Sec: 1}, {Sec: 1 << 33, Nsec: 8}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, u.Name(), later, 0); err != nil {
		t.Fatal(err)
	}
	if err := Merge(t.Context(), l.upper, l.lower); err != nil {
		t.Fatal(err)
	}
	if tree := roottest.Exact(t, u.Name(), nil); !strings.Contains(tree, fmt.Sprintf(" %d.000000008", int64(1<<33))) || strings.Contains(tree, xattrTimes) {
		t.Error(tree)
	}
}

func TestMergeRefusesRedirects(t *testing.T) {
	roottest.NeedRoot(t)
	for attribute, name := range map[string]string{layer.XattrRedirect: "dir/sub", xattrMetacopy: "dir/sub/file"} {
		for _, where := range []string{"upper", "lower"} {
			l := newLayers(t)
			l.script(t, "file upper/dir/sub/file\nfile lower/dir/sub/file\nfile lower/aa")
			if err := unix.Setxattr(filepath.Join(l.top, where, name), attribute, []byte("/old"), 0); err != nil {
				t.Fatal(err)
			}
			before := roottest.Exact(t, l.top, nil)
			if err := Merge(t.Context(), l.upper, l.lower); !errors.Is(err, ErrRedirect) || !strings.Contains(err.Error(), filepath.Base(name)) {
				t.Errorf("%s of %s: error %v", attribute, where, err)
			}
			roottest.SameLines(t, "the layers", roottest.Exact(t, l.top, nil), before)
		}
	}
}

func TestMergeStopsAtMounts(t *testing.T) {
	roottest.NeedRoot(t)
	for _, name := range []string{"dir", "dir/file", "file", "hidden"} {
		roottest.InMemory(t, func(dir string) {
			l := newLayersIn(t, dir)
			l.script(t, "file lower/dir/file\nfile lower/file\nfile upper/dir/own\nfile lower/hidden\nfile upper/hidden")
			before := l.view(t, l.upper, l.lower)
			at := filepath.Join(l.lower, name)
			if err := unix.Mount(at, at, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			if err := Merge(t.Context(), l.upper, l.lower); err == nil {
				t.Errorf("%s: merged", name)
			}
			roottest.Must(t, unix.Unmount(at, 0))
			roottest.SameLines(t, "the layers", withoutTimes(l.view(t, l.upper, l.lower)), withoutTimes(before))
			roottest.Must(t, Merge(t.Context(), l.upper, l.lower))
			roottest.SameLines(t, "the layers", l.view(t, l.upper, l.base), before)
		})
	}
}

func TestMergeOfDeepTrees(t *testing.T) {
	roottest.NeedRoot(t)
	l := newLayers(t)
	name := strings.Repeat("x", 100)
	nested(t, l.lower, 300, name)
	nested(t, l.upper, 280, name)
	if err := Merge(t.Context(), l.upper, l.lower); err != nil {
		t.Fatal(err)
	}
	if !atDepth(t, l.upper, 300, name) {
		t.Error("the last file is missing")
	}
}
