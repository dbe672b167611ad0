package tree

import (
	"context"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"croft/template/rootfs"
)

// Changes calls do with the tree that the layers of new show, the topmost first, and with
// a function that calls emit for each difference from those of old, as Diff does. The
// topmost layer of old is the copy, that of new the directory that was copied. No process
// changes it any more.
//
// Other than Diff it finds a file whose content alone has changed since the last pass,
// also if a process has set its time back: its ctime is another one. A file whose ctime
// does not prove that the copy has its content counts as changed.
func (c *LiveCopy) Changes(ctx context.Context, at string, old, new []rootfs.Frozen, do func(root *os.File, each func(emit func(Change) error) error) error) error {
	dirs := []string{old[0].Dir, new[0].Dir}
	common := commonLayers(old, new)
	for _, l := range slices.Concat(old[1:len(old)-common], new[1:len(new)-common]) {
		dirs = append(dirs, l.Dir)
	}
	return rootfs.WithViews(at, [][]rootfs.Frozen{old, new}, func(roots []string) error {
		d, err := openDiffer(ctx, roots, dirs)
		if err != nil {
			return err
		}
		defer d.close()
		d.copied = c
		return do(d.new, d.run)
	})
}

// unchanged reports whether the file name in the directory p, of which now is the stat,
// is as the last pass has copied it from the directory from.
func (c *LiveCopy) unchanged(p *place, name string, now *unix.Stat_t, from *os.File) (bool, error) {
	if e := c.copied(p, name); e != nil {
		return e.ctime != 0 && e.ctime == nanoseconds(now.Ctim), nil
	}
	// The copy does not have it. It is a file of the layers below, unless it has come to
	// the directory since.
	fd, err := openExisting(p, from)
	if err != nil || fd < 0 {
		return true, err
	}
	defer unix.Close(fd)
	st, err := lookAt(fd, name)
	return st == nil, err
}

// copied returns the entry name in the directory p of the copy; nil if there is none.
func (c *LiveCopy) copied(p *place, name string) *entry {
	dir := c.top
	for _, n := range p.names() {
		e := dir.entry(n)
		if e == nil || e.dir == nil {
			return nil
		}
		dir = e.dir
	}
	return dir.entry(name)
}

// entry returns the entry name; nil if there is none.
func (k *known) entry(name string) *entry {
	n, found := slices.BinarySearchFunc(k.entries, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
	if !found {
		return nil
	}
	return &k.entries[n]
}
