package tree

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"croft/internal/removetree"
	"croft/template/layer"
)

// A known directory is one that a pass has copied.
type known struct {
	*place
	ctime   int64   // when it was copied, 0 if it must be read again
	entries []entry // of the copy, sorted by name
}

// An entry is a file in a known directory.
type entry struct {
	name  string
	mode  uint32
	ino   uint64 // of the file
	ctime int64  // when the file was copied, 0 if it must be copied again
	copy  uint64 // the inode of its copy, if the file has several hard links
	dir   *known // of a directory
}

// settledAt returns the change time of st, or 0 if the file may change without
// getting another one.
func (p *pass) settledAt(st *unix.Stat_t) int64 {
	if ctime := nanoseconds(st.Ctim); ctime < p.settled {
		return ctime
	}
	return 0
}

func (e *entry) isDir() bool { return kindOf(e.mode) == unix.S_IFDIR }

// A dirCopy is the work on one directory in one pass.
type dirCopy struct {
	*pass
	*known
	buf     *buffers
	from    int
	to      int  // -1: not opened yet
	touched bool // entries of the copy were created or removed
	subs    []*known
}

// directory copies the directory k, without the content of the directories in
// it. It returns those.
func (p *pass) directory(k *known, buf *buffers) ([]*known, error) {
	from, err := k.open(int(p.from.Fd()))
	if vanished(err) {
		return nil, nil // its parent has changed, and the next pass reads that again
	}
	if err != nil {
		return nil, fmt.Errorf("open %.200q: %w", k.path(), err)
	}
	defer unix.Close(from)
	d := &dirCopy{pass: p, known: k, buf: buf, from: from, to: -1}
	defer func() {
		if d.to >= 0 {
			unix.Close(d.to)
		}
	}()
	if err := d.copy(); err != nil {
		return nil, err
	}
	return d.subs, nil
}

func (d *dirCopy) copy() error {
	var st unix.Stat_t
	if err := unix.Fstat(d.from, &st); err != nil {
		return err
	}
	changed := d.ctime == 0 || nanoseconds(st.Ctim) != d.ctime
	if err := d.copyEntries(changed); err != nil {
		return err
	}
	if !changed && !d.touched || d.partial() {
		return nil
	}
	err := d.openCopy()
	if err == nil {
		err = copyAttributes(d.from, d.to, &st)
	}
	if err != nil {
		return d.failed("", err)
	}
	d.known.ctime = d.settledAt(&st)
	return nil
}

// partial reports whether only one entry of the directory is copied.
func (d *dirCopy) partial() bool { return d.above == nil && d.only != "" }

// copyEntries copies the entries of the directory. If it has not changed, it has
// the names that are known.
func (d *dirCopy) copyEntries(changed bool) error {
	old := d.entries
	var names []string
	if changed {
		var err error
		names, err = sortedNames(d.from)
		if err != nil && !vanished(err) { // a removed directory is empty
			return d.failed("", err)
		}
	} else {
		for i := range old {
			names = append(names, old[i].name)
		}
	}
	if d.partial() {
		names = slices.DeleteFunc(names, func(name string) bool { return name != d.only })
	}
	all := make([]entry, 0, len(names))
	for _, name := range names {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for ; len(old) > 0 && old[0].name < name; old = old[1:] {
			if err := d.remove(&old[0]); err != nil {
				return err
			}
		}
		var last *entry
		if len(old) > 0 && old[0].name == name {
			last, old = &old[0], old[1:]
		}
		next, err := d.entry(name, last)
		if err == nil && next == nil && last != nil {
			err = d.remove(last)
		}
		if err != nil {
			return d.failed(name, err)
		}
		if next != nil {
			all = append(all, *next)
		}
	}
	for i := range old {
		if err := d.remove(&old[i]); err != nil {
			return err
		}
	}
	d.entries = slices.Clip(all)
	return nil
}

func (d *dirCopy) failed(name string, err error) error {
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	return fmt.Errorf("%.200q: %w", join(d.path(), name), err)
}

// entry copies the entry name. last is the one of the last pass, or nil. It returns
// nil if the entry has vanished.
func (d *dirCopy) entry(name string, last *entry) (*entry, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.from, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case kindOf(st.Mode) == unix.S_IFDIR:
		return d.subdirectory(name, &st, last)
	case st.Nlink > 1:
		return d.linked(name, &st, last)
	case last.is(&st):
		return last, nil
	}
	return d.file(name, &st, last)
}

// is reports whether the file st has not changed since e was copied.
func (e *entry) is(st *unix.Stat_t) bool {
	return e != nil && e.ctime != 0 && e.ctime == nanoseconds(st.Ctim) && e.ino == st.Ino && e.mode == st.Mode
}

func (d *dirCopy) subdirectory(name string, st *unix.Stat_t, last *entry) (*entry, error) {
	next := &entry{name: name, mode: st.Mode, ino: st.Ino}
	if last != nil && last.isDir() {
		next.dir = last.dir
	} else {
		at, err := d.below(name)
		if err != nil {
			return nil, err
		}
		if err := d.replace(last); err != nil {
			return nil, err
		}
		if err := unix.Mkdirat(d.to, name, 0o700); err != nil {
			return nil, err
		}
		next.dir = &known{place: at}
	}
	if !d.leave[next.dir.path()] {
		d.subs = append(d.subs, next.dir)
	}
	return next, nil
}

// linked copies a file with several hard links. The first name of a file is
// copied, and each other one becomes a link to it.
func (d *dirCopy) linked(name string, st *unix.Stat_t, last *entry) (*entry, error) {
	d.linksMu.Lock()
	defer d.linksMu.Unlock()
	id := layer.FileID{Dev: st.Dev, Ino: st.Ino}
	first, ok := d.links[id]
	if !ok {
		next := last
		if !last.is(st) {
			var err error
			if next, err = d.file(name, st, last); next == nil {
				return nil, err
			}
		}
		if next.copy != 0 {
			d.links[id] = link{d.place, name, next.copy}
		}
		return next, nil
	}
	next := &entry{name: name, mode: st.Mode, ino: st.Ino, ctime: d.settledAt(st), copy: first.ino}
	if last != nil && last.copy == first.ino {
		return next, nil
	}
	if err := d.replace(last); err != nil {
		return nil, err
	}
	dir, err := first.dir.open(int(d.LiveCopy.to.Fd()))
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	d.files.Add(1)
	return next, unix.Linkat(dir, first.name, d.to, name, 0)
}

// openCopy opens the directory in the copy.
func (d *dirCopy) openCopy() (err error) {
	if d.to < 0 {
		d.to, err = d.open(int(d.LiveCopy.to.Fd()))
	}
	return err
}

// replace removes the entry last from the copy, if it is not nil, so that another
// one can take its place.
func (d *dirCopy) replace(last *entry) error {
	d.touched = true
	if err := d.openCopy(); err != nil || last == nil {
		return err
	}
	return removetree.At(d.ctx, d.to, last.name)
}

// remove removes an entry from the copy.
func (d *dirCopy) remove(last *entry) error {
	d.removed.Add(1)
	if err := d.replace(last); err != nil {
		return d.failed(last.name, err)
	}
	return nil
}
