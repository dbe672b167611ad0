package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"croft/internal/userns"
	"croft/template/layer"
)

// A Frozen is a directory with files that a VPS had as its own and that do not change
// any more: a layer above those of the template. On disk they have the ids that this
// VPS had. Several VPSs may share it.
type Frozen struct {
	Dir         string
	First, Size uint32 // as in Rootfs
	// Image is that of a VPS whose upper directory this is: see Rootfs.
	Image string
}

// Freeze makes the VPS's own files the directory to, and gives the VPS an empty upper
// directory with the owner and mode of the former one. Its time does not depend on the
// number of files. The parent of to exists, on the same filesystem. r must not be
// mounted. If to exists already, Freeze only creates the upper directory if it is
// missing: so a Freeze that was interrupted can be repeated.
func (r Rootfs) Freeze(to string) error {
	if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
		err := unix.Renameat2(unix.AT_FDCWD, r.Upper(), unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		if err != nil {
			return layer.HostError(fmt.Errorf("rename %s to %s: %w", r.Upper(), to, err))
		}
	}
	if err := syncDirs(filepath.Dir(to), r.Dir); err != nil {
		return layer.HostError(err)
	}
	return r.makeUpperLike(Frozen{Dir: to, First: r.First, Size: r.Size})
}

// MakeOver is Make for a VPS with frozen layers: the root directory of the VPS has the
// owner, mode, times and extended attributes of the topmost one.
func (r Rootfs) MakeOver() error {
	if err := r.Make(); err != nil {
		return err
	}
	return r.giveRoot(r.Upper())
}

// makeUpperLike creates the upper directory with the attributes of the topmost frozen
// layer, which is f. No-op if it exists.
func (r Rootfs) makeUpperLike(f Frozen) error {
	if _, err := os.Lstat(r.Upper()); err == nil {
		return nil
	}
	draft := r.Upper() + ".new"
	if err := os.Mkdir(draft, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return layer.HostError(fmt.Errorf("create a root filesystem: %w", err))
	}
	r.Frozen = []Frozen{f}
	if err := r.giveRoot(draft); err != nil {
		return err
	}
	if err := os.Rename(draft, r.Upper()); err != nil {
		return layer.HostError(fmt.Errorf("create a root filesystem: %w", err))
	}
	return syncDirs(r.Dir)
}

// giveRoot gives dir the attributes of the topmost frozen layer, with the ids of r.
func (r Rootfs) giveRoot(dir string) error {
	a, err := r.topAttributes()
	if err == nil {
		err = a.give(dir, r.ids())
	}
	if err != nil {
		return layer.HostError(fmt.Errorf("create a root filesystem: %w", err))
	}
	return nil
}

// Parts returns r as it was when each frozen layer was the topmost one, the oldest
// first, and last r itself.
func (r Rootfs) Parts() []Rootfs {
	all := []Rootfs{r}
	for i, f := range r.Frozen {
		part := r
		part.Dir, part.Image, part.Frozen, part.First, part.Size = "", "", r.Frozen[i:], f.First, f.Size
		all = append(all, part)
	}
	slices.Reverse(all)
	return all
}

// Top returns the directory of the topmost files: the upper directory, or in a part the
// topmost frozen layer.
func (r Rootfs) Top() string {
	if r.Dir == "" {
		return r.Frozen[0].Dir
	}
	return r.Own().Dir
}

// Changed reports whether the VPS has files of its own above its frozen layers, or a
// root directory with other attributes.
func (r Rootfs) Changed() (bool, error) {
	dir, err := os.Open(r.Upper())
	if err != nil {
		return false, layer.HostError(err)
	}
	defer dir.Close()
	if hasEntries(int(dir.Fd())) {
		return true, nil
	}
	was, err := r.topAttributes()
	if err != nil {
		return false, err
	}
	now, err := readRoot(r.Upper(), r.ids())
	return !now.same(was), err
}

func syncDirs(dirs ...string) error {
	for _, d := range dirs {
		f, err := os.Open(d)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return fmt.Errorf("sync %s: %w", d, err)
		}
	}
	return nil
}

// A lower is a lower directory of the overlay. The ids 0..size-1 of a VPS are those
// from first on in its files; size 0: its files have the ids of the VPS already.
type lower struct {
	dir         string
	first, size uint32
}

// lowers returns the lower directories, the topmost first.
func (r Rootfs) lowers() []lower {
	var all []lower
	for _, f := range r.Frozen {
		l := lower{dir: f.Dir}
		if f.First != r.First {
			l.first, l.size = f.First, f.mapped(r.Size)
		}
		all = append(all, l)
	}
	for _, dir := range r.Layers {
		all = append(all, lower{dir: dir, size: r.Size})
	}
	return all
}

// mapped returns how many ids of f a VPS with size ids has. A VPS without a user
// namespace, size 0, has all.
func (f Frozen) mapped(size uint32) uint32 {
	if f.Size == 0 || size == 0 {
		return max(f.Size, size)
	}
	return min(f.Size, size)
}

// Mapped returns the layers with the sizes that they have for the VPS: those of a template
// have no ids of a VPS on disk.
func (r Rootfs) Mapped(layers []Frozen) []Frozen {
	all := slices.Clone(layers)
	for i := range all {
		all[i].Size = all[i].mapped(r.Size)
	}
	return all
}

// shiftLayers mounts a clone of each lower directory whose files have other ids than
// the VPS in Scratch, with the ids of the VPS. It returns the directories to use, the
// topmost first.
func (r Rootfs) shiftLayers() ([]string, error) {
	maps := map[lower]*os.File{} // by ids alone
	defer func() {
		for _, ns := range maps {
			ns.Close()
		}
	}()
	var at []string
	for i, l := range r.lowers() {
		if l.size == 0 {
			at = append(at, l.dir)
			continue
		}
		ids := lower{first: l.first, size: l.size}
		if maps[ids] == nil {
			ns, err := userns.New(l.first, r.First, l.size)
			if err != nil {
				return nil, err
			}
			maps[ids] = ns
		}
		to := filepath.Join(r.Scratch, strconv.Itoa(i))
		if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, layer.HostError(fmt.Errorf("mount a layer: %w", err))
		}
		if err := mountShifted(l.dir, to, int(maps[ids].Fd())); err != nil {
			return nil, err
		}
		at = append(at, to)
	}
	return at, nil
}
