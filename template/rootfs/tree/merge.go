package tree

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/removetree"
	"croft/template/layer"
)

// Attributes of directories and files in layers.
const (
	xattrOrigin = "trusted.overlay.origin"
	xattrImpure = "trusted.overlay.impure"
	// xattrTimes keeps the modification time of a directory while entries are moved
	// into it.
	xattrTimes = "trusted.croft.merging"
	// xattrData marks a directory that a VPS sees directly, and not through the
	// overlay. Its value is dataFilling while it is being filled from the layers
	// below; then it is filled again at the next start.
	xattrData   = "trusted.croft.data"
	dataFilling = "filling"
)

// Merge moves all files of the layer lower that an overlay shows into the layer
// upper, which is directly above it, and removes all others. Both are directories
// of one filesystem, with the same ids, and no overlay is mounted on them. Only
// renames move files, so the time does not depend on the size of files or of
// directories that only lower has.
//
// At each instant an overlay of upper and lower above any other layers shows the
// same tree, apart from the times of directories. After an error, or if the
// process was killed, Merge can be called again. On success the times are as
// before, lower is empty, and everything is on the disk. ErrRedirect changes
// nothing.
func Merge(ctx context.Context, upper, lower string) error {
	u, err := openRoot(upper)
	if err != nil {
		return err
	}
	defer u.Close()
	l, err := openRoot(lower)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, root := range []*os.File{u, l} {
		if err := findRedirect(ctx, root); err != nil {
			return err
		}
	}
	m := &merger{ctx: ctx, upper: int(u.Fd()), lower: int(l.Fd())}
	if err := m.run(); err != nil {
		return fmt.Errorf("merge %s: %w", lower, err)
	}
	if err := unix.Syncfs(m.upper); err != nil {
		return fmt.Errorf("sync %s: %w", upper, err)
	}
	return nil
}

// A merger merges two layers. It checks ctx before each change.
type merger struct {
	ctx          context.Context
	upper, lower int // the roots
}

// A pair is a directory that both layers have, and that are merged. The work on it
// is interrupted for each directory in it, so that few descriptors are open.
type pair struct {
	*place
	read  bool
	names []string // in lower, that are left
}

func (m *merger) run() error {
	for stack := []*pair{{place: &place{}}}; len(stack) > 0; {
		top := stack[len(stack)-1]
		sub, err := m.work(top)
		if err != nil {
			return fmt.Errorf("%.200q: %w", top.path(), err)
		}
		if sub != nil {
			stack = append(stack, sub)
			continue
		}
		stack = stack[:len(stack)-1]
	}
	return nil
}

// A mergeDir is an open pair.
type mergeDir struct {
	*merger
	*pair
	u, l int
}

// work merges the entries of p until a directory is in both layers, which it
// returns. At the end it removes the directory of the lower layer.
func (m *merger) work(p *pair) (*pair, error) {
	u, err := p.open(m.upper)
	if err != nil {
		return nil, err
	}
	defer unix.Close(u)
	l, err := p.open(m.lower)
	if err != nil {
		return nil, err
	}
	defer unix.Close(l)
	d := &mergeDir{merger: m, pair: p, u: u, l: l}
	if !p.read {
		if err := d.restoreTime(); err != nil { // Merge was interrupted here
			return nil, err
		}
		if p.names, err = sortedNames(l); err != nil {
			return nil, err
		}
		p.read = true
	}
	for len(p.names) > 0 {
		name := p.names[0]
		p.names = p.names[1:]
		both, err := d.entry(name)
		if err != nil {
			return nil, fmt.Errorf("%.200q: %w", name, err)
		}
		if both {
			at, err := p.below(name)
			return &pair{place: at}, err
		}
	}
	return nil, d.finish()
}

// entry merges the entry name of lower. It returns true if it is a directory that
// has to be merged with that of upper.
func (d *mergeDir) entry(name string) (both bool, err error) {
	if err := d.ctx.Err(); err != nil {
		return false, err
	}
	var above, below unix.Stat_t
	if err := unix.Fstatat(d.l, name, &below, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	err = unix.Fstatat(d.u, name, &above, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, d.move(name)
	case err != nil:
		return false, err
	case kindOf(above.Mode) != unix.S_IFDIR:
		return false, d.drop(name)
	}
	data, marked, err := xattrOf(d.u, name, xattrData)
	if err != nil {
		return false, err
	}
	if data == dataFilling { // a part of a copy of what lower has
		err := d.prepare()
		if err == nil {
			err = removetree.At(d.ctx, d.u, name)
		}
		if err == nil {
			err = d.move(name)
		}
		return false, err
	}
	opaque, _, err := xattrOf(d.u, name, layer.XattrOpaque)
	switch {
	case err != nil:
		return false, err
	case marked || opaque == "y":
		return false, d.drop(name)
	case kindOf(below.Mode) == unix.S_IFDIR:
		return true, nil
	}
	// For overlayfs a lower file or whiteout ends the directory, as if it were opaque.
	if err := d.makeOpaque(name); err != nil {
		return false, err
	}
	return false, d.drop(name)
}

// move moves the entry name, which upper does not have, from lower to upper.
func (d *mergeDir) move(name string) error {
	if err := d.prepare(); err != nil {
		return err
	}
	if err := d.ctx.Err(); err != nil {
		return err
	}
	err := unix.Renameat2(d.l, name, d.u, name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EBUSY) {
		return fail.New(fail.State, "something is mounted on it: %w", err)
	}
	return err
}

// drop removes the entry name, which upper hides, from lower.
func (d *mergeDir) drop(name string) error { return removetree.At(d.ctx, d.l, name) }

func (d *mergeDir) makeOpaque(name string) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	return unix.Lsetxattr(handle(d.u)+"/"+name, layer.XattrOpaque, []byte("y"), 0)
}

// prepare makes the directory of upper ready for entries of lower. Its time is
// kept, and overlayfs learns that entries may have been copied from layers below.
func (d *mergeDir) prepare() error {
	_, kept, err := xattrOf(d.u, "", xattrTimes)
	if err != nil || kept {
		return err
	}
	if impure, _, err := xattrOf(d.l, "", xattrImpure); err != nil {
		return err
	} else if impure == "y" {
		if err := d.set(xattrImpure, "y"); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(d.u, &st); err != nil {
		return err
	}
	return d.set(xattrTimes, fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec))
}

// set sets an extended attribute of the directory of upper.
func (d *mergeDir) set(name, value string) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	if err := unix.Fsetxattr(d.u, name, []byte(value), 0); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}

// finish removes the directory of lower, which is empty. The root stays.
func (d *mergeDir) finish() error {
	// The time comes first: an opaque directory is not merged again.
	if err := d.restoreTime(); err != nil || d.above == nil {
		return err
	}
	if err := d.keepAttributes(); err != nil {
		return err
	}
	parent, err := d.above.open(d.lower)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if err := d.ctx.Err(); err != nil {
		return err
	}
	return unix.Unlinkat(parent, d.name, unix.AT_REMOVEDIR)
}

// keepAttributes gives the directory of upper the meaning for overlayfs that both
// had together.
func (d *mergeDir) keepAttributes() error {
	opaque, _, err := xattrOf(d.l, "", layer.XattrOpaque)
	if err == nil && opaque == "y" {
		err = d.set(layer.XattrOpaque, "y")
	}
	if err != nil {
		return err
	}
	// Without an origin, overlayfs lists the whiteouts of a directory that no other
	// layer has (ovl_get_inode). An empty one means an unknown origin.
	_, has, err := xattrOf(d.u, "", xattrOrigin)
	if err == nil && !has {
		err = d.set(xattrOrigin, "")
	}
	return err
}

// restoreTime gives the directory of upper the time that prepare has kept. If Merge
// was killed, and a VPS has then changed the directory, it has a later time than
// that of lower, which only Merge changes. That time stays.
func (d *mergeDir) restoreTime() error {
	kept, has, err := xattrOf(d.u, "", xattrTimes)
	if err != nil || !has {
		return err
	}
	var above, below unix.Stat_t
	err = errors.Join(unix.Fstat(d.u, &above), unix.Fstat(d.l, &below))
	if err != nil {
		return err
	}
	if nanoseconds(above.Mtim) <= nanoseconds(below.Mtim) {
		mtime := unix.Timespec{}
		if _, err := fmt.Sscanf(kept, "%d.%d", &mtime.Sec, &mtime.Nsec); err != nil {
			return fmt.Errorf("read %s: %w", xattrTimes, err)
		}
		if err := d.ctx.Err(); err != nil {
			return err
		}
		times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}
		if err := unix.UtimesNanoAt(d.u, "", times, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("set its time: %w", err)
		}
	}
	if err := d.ctx.Err(); err != nil {
		return err
	}
	return unix.Fremovexattr(d.u, xattrTimes)
}
