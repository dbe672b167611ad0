package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"croft/template/layer"
	"croft/template/rootfs"
)

// A Change is a difference between two trees.
type Change struct {
	Kind ChangeKind
	Path string // inside the VPS, from "/" on; any bytes but 0
}

// A ChangeKind says what has happened to a file.
type ChangeKind byte

// The kinds of changes, as Docker calls them.
const (
	Added   ChangeKind = 'A'
	Changed ChangeKind = 'C' // its content, its attributes or its kind
	Deleted ChangeKind = 'D'
)

func (k ChangeKind) String() string { return string(k) }

// Diff calls emit for each difference between two stacks of layers, the topmost
// first: a directory before its content, and names in the order of their bytes. It
// ends with the first error of emit.
//
// An added directory is followed by everything in it. A deleted one stands for
// everything in it, too. A file has changed if its kind, mode, owner, size,
// time of modification, device number, target or extended attributes differ. The
// content is not read. Owners are compared as a VPS sees them. The root directory
// is not compared.
//
// The lowest layers that both stacks have in common are not searched, so the time
// depends on the files in the other ones. The stacks are mounted as by
// rootfs.WithViews, at the directory at.
func Diff(ctx context.Context, at string, old, new []rootfs.Frozen, emit func(Change) error) error {
	var dirs []string // of layers that are not common
	common := commonLayers(old, new)
	for _, l := range slices.Concat(old[:len(old)-common], new[:len(new)-common]) {
		dirs = append(dirs, l.Dir)
	}
	if len(dirs) == 0 {
		return nil
	}
	return rootfs.WithViews(at, [][]rootfs.Frozen{old, new}, func(roots []string) error {
		d, err := openDiffer(ctx, roots, dirs)
		if err != nil {
			return err
		}
		defer d.close()
		return d.run(emit)
	})
}

// commonLayers returns how many of the lowest layers two stacks have in common.
func commonLayers(a, b []rootfs.Frozen) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// A differ compares two trees, of which a part is the same.
type differ struct {
	ctx    context.Context
	old    *os.File
	new    *os.File
	layers []*os.File // the paths that may differ are in these
	copied *LiveCopy  // old has files that it has copied; nil: it has none
}

func openDiffer(ctx context.Context, roots, dirs []string) (*differ, error) {
	d := &differ{ctx: ctx}
	var err error
	if d.old, err = openRoot(roots[0]); err != nil {
		return nil, err
	}
	if d.new, err = openRoot(roots[1]); err != nil {
		d.close()
		return nil, err
	}
	for _, dir := range dirs {
		l, err := openRoot(dir)
		if err != nil {
			d.close()
			return nil, err
		}
		d.layers = append(d.layers, l)
	}
	return d, nil
}

func (d *differ) close() {
	for _, f := range append(d.layers, d.old, d.new) {
		if f != nil {
			f.Close()
		}
	}
}

// A compared directory is in the new tree, and perhaps in the old one. The work on
// it is interrupted for each directory in it, so that few descriptors are open.
type compared struct {
	*place
	added bool // the old tree has no such directory
	// whole: all names are compared, because the layers do not have all that differ.
	whole bool
	read  bool
	names []string // that are left
}

func (d *differ) run(emit func(Change) error) error {
	for stack := []*compared{{place: &place{}}}; len(stack) > 0; {
		top := stack[len(stack)-1]
		sub, err := d.work(top, emit)
		if err != nil {
			return err
		}
		if sub != nil {
			stack = append(stack, sub)
			continue
		}
		stack = stack[:len(stack)-1]
	}
	return nil
}

// work compares the entries of c until one is a directory of the new tree, which
// it returns.
func (d *differ) work(c *compared, emit func(Change) error) (*compared, error) {
	in := &comparedDir{differ: d, compared: c, old: -1, new: -1}
	defer in.close()
	if err := in.open(); err != nil || in.new < 0 {
		return nil, in.failed(err)
	}
	for len(c.names) > 0 {
		name := c.names[0]
		c.names = c.names[1:]
		if err := d.ctx.Err(); err != nil {
			return nil, err
		}
		kind, sub, err := in.entry(name)
		if err != nil {
			return nil, in.failed(err)
		}
		if kind != 0 {
			if err := emit(Change{kind, "/" + join(c.path(), name)}); err != nil {
				return nil, err
			}
		}
		if sub != nil {
			return sub, nil
		}
	}
	return nil, nil
}

// A comparedDir is an open compared directory. A descriptor is -1 if the
// directory is missing.
type comparedDir struct {
	*differ
	*compared
	old, new int
}

func (d *comparedDir) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("compare %.200q: %w", d.path(), err)
}

func (d *comparedDir) close() {
	for _, fd := range []int{d.old, d.new} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (d *comparedDir) open() (err error) {
	if d.new, err = openExisting(d.place, d.differ.new); err != nil {
		return err
	}
	if !d.added {
		if d.old, err = openExisting(d.place, d.differ.old); err != nil {
			return err
		}
	}
	if d.read {
		return nil
	}
	d.read = true
	return d.readNames()
}

// openExisting opens p below root, and returns -1 if it is not a directory, or not
// any more.
func openExisting(p *place, root *os.File) (int, error) {
	fd, err := p.open(int(root.Fd()))
	if vanished(err) {
		return -1, nil
	}
	return fd, err
}

// readNames sets the names that may differ. They are those in the layers, unless a
// layer hides the layers below or refers to another name there.
func (d *comparedDir) readNames() error {
	var names []string
	for _, l := range d.layers {
		if d.whole || d.added {
			break
		}
		in, hides, err := namesInLayer(d.place, l)
		if err != nil {
			return err
		}
		names = append(names, in...)
		d.whole = hides
	}
	if d.whole || d.added {
		names = nil
		for _, fd := range []int{d.old, d.new} {
			if fd < 0 {
				continue
			}
			in, err := sortedNames(fd)
			if err != nil {
				return err
			}
			names = append(names, in...)
		}
	}
	slices.Sort(names)
	d.names = slices.Compact(names)
	return nil
}

// namesInLayer returns the names in the directory p of a layer. hides reports
// whether an overlay does not merge p with the same directory of the layers below.
func namesInLayer(p *place, root *os.File) (names []string, hides bool, err error) {
	fd, err := p.open(int(root.Fd()))
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, false, nil
	case vanished(err): // a file or a whiteout
		return nil, true, nil
	case err != nil:
		return nil, false, err
	}
	defer unix.Close(fd)
	for _, attribute := range []string{layer.XattrOpaque, layer.XattrRedirect} {
		_, has, err := xattrOf(fd, "", attribute)
		if err != nil {
			return nil, false, err
		}
		hides = hides || has
	}
	names, err = sortedNames(fd)
	return names, hides, err
}

// entry compares the entry name. It returns 0 if it has not changed, and a directory
// of the new tree whose content is to be compared.
func (d *comparedDir) entry(name string) (ChangeKind, *compared, error) {
	old, err := lookAt(d.old, name)
	if err != nil {
		return 0, nil, err
	}
	now, err := lookAt(d.new, name)
	switch {
	case err != nil:
		return 0, nil, err
	case old == nil && now == nil: // a whiteout, for example
		return 0, nil, nil
	case now == nil:
		return Deleted, nil, nil
	}
	var sub *compared
	if kindOf(now.Mode) == unix.S_IFDIR {
		at, err := d.below(name)
		if err != nil {
			return 0, nil, err
		}
		sub = &compared{place: at, whole: d.whole, added: old == nil || kindOf(old.Mode) != unix.S_IFDIR}
	}
	if old == nil {
		return Added, sub, nil
	}
	same, err := d.same(name, old, now)
	if same && err == nil && d.copied != nil && sub == nil {
		same, err = d.copied.unchanged(d.place, name, now, d.layers[1])
	}
	if same || err != nil {
		return 0, sub, err
	}
	return Changed, sub, nil
}

// lookAt returns the stat of the entry name of the directory fd, or nil if it or the
// directory is missing.
func lookAt(fd int, name string) (*unix.Stat_t, error) {
	if fd < 0 {
		return nil, nil
	}
	var st unix.Stat_t
	err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return &st, err
}

// same reports whether the entry name, which both directories have, is the same.
func (d *comparedDir) same(name string, old, now *unix.Stat_t) (bool, error) {
	kind := kindOf(now.Mode)
	if old.Mode != now.Mode || old.Uid != now.Uid || old.Gid != now.Gid || old.Mtim != now.Mtim ||
		old.Rdev != now.Rdev || kind != unix.S_IFDIR && old.Size != now.Size {
		return false, nil
	}
	var xattrs [2]map[string]string
	var targets [2][]byte
	for i, dir := range []int{d.old, d.new} {
		fd, err := openBelow(dir, name, unix.O_PATH)
		if vanished(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		xattrs[i], err = layer.ReadXattrsOf(handle(fd))
		if err == nil && kind == unix.S_IFLNK {
			targets[i] = make([]byte, unix.PathMax)
			_, err = unix.Readlinkat(fd, "", targets[i])
		}
		unix.Close(fd)
		if err != nil {
			return false, err
		}
		maps.DeleteFunc(xattrs[i], func(name, _ string) bool { return strings.HasPrefix(name, "trusted.croft.") })
	}
	return maps.Equal(xattrs[0], xattrs[1]) && bytes.Equal(targets[0], targets[1]), nil
}
