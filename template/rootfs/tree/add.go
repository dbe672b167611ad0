package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/removetree"
	"croft/template/layer"
	"croft/template/rootfs"
)

// Add puts the frozen layers of r above its own files, which no process uses, and which
// then have what both showed together. Frozen layers of a plain tree have the ids inside
// the VPS. The layers do not change meanwhile, and r does not need them afterwards. After
// an error, or if the process was killed, r.Dir is to be removed.
func Add(ctx context.Context, r rootfs.Rootfs) error {
	if r.Plain() {
		r.First = 0
	}
	for n := len(r.Frozen) - 1; n >= 0; n-- {
		if err := addLayer(ctx, r, n); err != nil {
			return layer.HostError(err)
		}
	}
	return nil
}

// addLayer puts the n-th frozen layer above the own files.
func addLayer(ctx context.Context, r rootfs.Rootfs, n int) error {
	own, next := r.Own().Dir, filepath.Join(r.Dir, "next")
	direct := []string{"."} // directories that the VPS does not see through an overlay
	if !r.Plain() {
		var err error
		if direct, err = markedData(own); err != nil {
			return err
		}
	}
	if err := copyFrozen(ctx, r, n, next); err != nil {
		return err
	}
	if err := Merge(ctx, next, own); err != nil {
		return err
	}
	for _, dir := range direct {
		if err := stripMarks(ctx, r.Frozen[n].Dir, next, dir); err != nil {
			return err
		}
	}
	if err := os.Remove(own); err != nil { // it is empty
		return err
	}
	if err := os.Rename(next, own); err != nil {
		return err
	}
	return markOwnData(r)
}

// dirBelow opens the directory dir below root; -1 if there is none.
func dirBelow(root *os.File, dir string) (int, error) {
	fd, err := openBelow(int(root.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if vanished(err) {
		return -1, nil
	}
	return fd, err
}

// markedData returns the data directories in the upper directory dir.
func markedData(dir string) ([]string, error) {
	root, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var all []string
	for _, data := range rootfs.DataPaths() {
		fd, err := dirBelow(root, data)
		if err != nil {
			return nil, err
		}
		if fd < 0 {
			continue
		}
		state, _, err := xattrOf(fd, "", xattrData)
		unix.Close(fd)
		if err != nil {
			return nil, err
		}
		if state != "" && state != dataFilling {
			all = append(all, data)
		}
	}
	return all, nil
}

// markOwnData marks the data directories of an overlay of which no layer of the template
// shows a part, as a start would have done: archives do not have the marks.
func markOwnData(r rootfs.Rootfs) error {
	if r.Plain() {
		return nil
	}
	root, err := openRoot(r.Upper())
	if err != nil {
		return err
	}
	defer root.Close()
	for _, dir := range rootfs.DataPaths() {
		fd, err := dirBelow(root, dir)
		if err != nil {
			return err
		}
		if fd < 0 {
			continue
		}
		err = markComplete(fd, dir, r.Layers)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

// markComplete marks the open data directory dir if it has all that the VPS sees there.
func markComplete(fd int, dir string, layers []string) error {
	if _, marked, err := xattrOf(fd, "", xattrData); err != nil || marked {
		return err
	}
	opaque, _, err := xattrOf(fd, "", layer.XattrOpaque)
	if err != nil {
		return err
	}
	for _, l := range layers {
		if opaque == "y" {
			break
		}
		if has, err := hasEntry(l, dir); err != nil || has {
			return err
		}
	}
	return unix.Fsetxattr(fd, xattrData, []byte("y"), 0)
}

// hasEntry reports whether the layer has something at path, or a link on the way.
func hasEntry(dir, path string) (bool, error) {
	root, err := openRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	fd, err := openBelow(int(root.Fd()), path, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return vanished(err), nil
	}
	return true, unix.Close(fd)
}

// stripMarks removes the whiteouts of the layer from in its directory dir, and what a merge
// has marked directories there with, from the tree to, in which dir is no layer of an
// overlay. No-op if from does not have dir.
func stripMarks(ctx context.Context, from, to, dir string) error {
	var fds [2]int
	for n, tree := range []string{from, to} {
		root, err := openRoot(tree)
		if err != nil {
			return err
		}
		fds[n], err = dirBelow(root, dir)
		root.Close()
		if err != nil || fds[n] < 0 {
			return err
		}
		defer unix.Close(fds[n])
	}
	return stripDir(ctx, fds[0], fds[1], dir == ".")
}

// stripDir is stripMarks for an open directory. A data directory keeps its own marks.
// Where the layer hides everything below, its whiteouts hide nothing: they belong to a
// container engine inside.
func stripDir(ctx context.Context, from, to int, marks bool) error {
	opaque, _, err := xattrOf(from, "", layer.XattrOpaque)
	if err != nil {
		return err
	}
	var names []string
	if opaque != "y" {
		if names, err = sortedNames(from); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := stripEntry(ctx, from, to, name); err != nil {
			return fmt.Errorf("%.200q: %w", name, err)
		}
	}
	for _, mark := range []string{layer.XattrOpaque, xattrOrigin, xattrImpure} {
		if !marks {
			break
		}
		if err := unix.Fremovexattr(to, mark); err != nil && !errors.Is(err, unix.ENODATA) {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	return unix.UtimesNanoAt(to, "", []unix.Timespec{{Nsec: unix.UTIME_OMIT}, st.Mtim}, unix.AT_EMPTY_PATH)
}

func stripEntry(ctx context.Context, from, to int, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if layer.IsWhiteout(&st) {
		return removetree.At(ctx, to, name)
	}
	if kindOf(st.Mode) != unix.S_IFDIR {
		return nil
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	source, err := unix.Openat(from, name, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	target, err := unix.Openat(to, name, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return stripDir(ctx, source, target, true)
}
