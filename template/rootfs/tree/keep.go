package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/removetree"
	"croft/template/layer"
	"croft/template/rootfs"
)

// CheckKept is fail.NotFound if the tree root does not have one of paths, and fail.Usage if
// a symbolic link is on the way to it. Paths begin with a slash.
func CheckKept(root string, paths []string) error {
	dir, err := openRoot(root)
	if err != nil {
		return layer.HostError(err)
	}
	defer dir.Close()
	for _, p := range paths {
		fd, err := openKept(int(dir.Fd()), p)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return nil
}

// openKept opens the file at path below root with O_PATH.
func openKept(root int, path string) (int, error) {
	fd, err := openBelow(root, strings.TrimPrefix(path, "/"), unix.O_PATH)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fail.New(fail.NotFound, "keep %s: the VPS has no such file", path)
	case vanished(err):
		return -1, fail.New(fail.Usage, "keep %s: a directory on the way is a symbolic link or a file; give the path without it", path)
	case err != nil:
		return -1, fmt.Errorf("keep %s: %w", path, err)
	}
	return fd, nil
}

// Keep copies paths of the root filesystem from into the own files of to, which replace
// them: those of the same VPS, with another template and no other files. Each is then
// exactly as it was, a directory without files of the new template. Directories above that
// are missing have the attributes that they have in the new template, or else had. Nothing
// uses the files meanwhile. If to is an overlay, its upper directory is created if it is
// missing.
//
// Paths begin with a slash, and none is below another one. CheckKept says which errors there
// are; fail.State is a new template with a file or a link where a directory is needed. The
// layers are mounted as by rootfs.WithLayers, at the directory at. progress is as for Fill.
// After an error a part of the files may be there.
func Keep(ctx context.Context, at string, from, to rootfs.Rootfs, paths []string, progress func(done int64)) error {
	k := &keeper{ctx: ctx, overlay: !from.Plain(), progress: progress, data: map[string]*os.File{}}
	defer k.close()
	own := to.Own().Dir
	if k.overlay {
		if err := makeOverlayTop(own, to.First); err != nil {
			return layer.HostError(err)
		}
	}
	var err error
	if k.target, err = k.open(own); err != nil {
		return err
	}
	if !k.overlay {
		return from.Own().Within(func(dir string) error {
			if k.source, err = k.open(dir); err != nil {
				return err
			}
			return k.all(paths)
		})
	}
	return rootfs.WithLayers(at, from.First, func(v *rootfs.Layered) error {
		if err := k.mount(v, from, to); err != nil {
			return err
		}
		return k.all(paths)
	})
}

// makeOverlayTop creates an upper directory, as rootfs.Make does. No-op if it exists.
func makeOverlayTop(dir string, first uint32) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Lchown(dir, int(first), int(first))
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	return err
}

// A keeper copies files that a VPS keeps.
type keeper struct {
	ctx      context.Context
	overlay  bool
	source   *os.File            // the root directory that the VPS has
	template *os.File            // that of its new template; nil: target has its files
	target   *os.File            // the own files that it gets
	data     map[string]*os.File // data directories that it does not see through the overlay, open in their layers
	origins  []*os.File          // layers of source
	opened   []*os.File
	progress func(int64)
	done     int64
}

func (k *keeper) close() {
	for _, f := range k.opened {
		f.Close()
	}
}

// open opens a directory until close.
func (k *keeper) open(dir string) (*os.File, error) {
	root, err := openRoot(dir)
	if err != nil {
		return nil, layer.HostError(err)
	}
	k.opened = append(k.opened, root)
	return root, nil
}

// mount opens what an overlay shows, what the new template shows, and data directories.
func (k *keeper) mount(v *rootfs.Layered, from, to rootfs.Rootfs) error {
	stack := from.Mapped(from.Stack())
	for _, s := range []struct {
		root  **os.File
		stack []rootfs.Frozen
	}{{&k.source, stack}, {&k.template, to.Mapped(to.Below())}} {
		dir, err := v.Stack(s.stack)
		if err != nil {
			return err
		}
		if *s.root, err = k.open(dir); err != nil {
			return err
		}
	}
	for _, l := range stack {
		dir, err := v.Layer(l)
		if err != nil {
			return err
		}
		root, err := k.open(dir)
		if err != nil {
			return err
		}
		k.origins = append(k.origins, root)
	}
	for _, dir := range rootfs.DataPaths() {
		found, err := k.findData(dir, len(stack)-len(from.Layers))
		if err != nil {
			return layer.HostError(err)
		}
		if found >= 0 {
			f := os.NewFile(uintptr(found), dir)
			k.data[dir], k.opened = f, append(k.opened, f)
		}
	}
	return nil
}

// findData opens dir in the topmost of the first n layers that has it, if the VPS does not
// see it through the overlay there; else it is -1.
func (k *keeper) findData(dir string, n int) (int, error) {
	for _, l := range k.origins[:n] {
		fd, err := openBelow(int(l.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if vanished(err) { // the VPS has something else there
			return -1, nil
		}
		if err != nil {
			return -1, err
		}
		state, _, err := xattrOf(fd, "", xattrData)
		if err == nil && state != "" && state != dataFilling {
			return fd, nil
		}
		unix.Close(fd)
		if err != nil || state == "" {
			return -1, err
		}
	}
	return -1, nil
}

func (k *keeper) all(paths []string) error {
	for _, p := range paths {
		fd, err := openKept(int(k.source.Fd()), p)
		if err != nil {
			return err
		}
		unix.Close(fd)
		names := strings.Split(strings.TrimPrefix(p, "/"), "/")
		if err := k.below(int(k.target.Fd()), names, 0); err != nil {
			return layer.HostError(fmt.Errorf("keep %s: %w", p, err))
		}
	}
	if err := unix.Syncfs(int(k.target.Fd())); err != nil {
		return layer.HostError(fmt.Errorf("sync %s: %w", k.target.Name(), err))
	}
	return nil
}

// below copies the file names into the directory at of the target, which is names[:n].
func (k *keeper) below(at int, names []string, n int) error {
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return err
	}
	if n == len(names)-1 {
		if err := k.file(at, names); err != nil {
			return err
		}
	} else if err := k.through(at, names, n); err != nil {
		return err
	}
	return unix.UtimesNanoAt(at, "", []unix.Timespec{st.Atim, st.Mtim}, unix.AT_EMPTY_PATH)
}

// through is below for the directory names[n], which it creates if it is missing.
func (k *keeper) through(at int, names []string, n int) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	dir, err := unix.Openat(at, names[n], flags, 0)
	if errors.Is(err, unix.ENOENT) {
		if err = k.directory(at, joined(names[:n]), names[n]); err != nil {
			return err
		}
		dir, err = unix.Openat(at, names[n], flags, 0)
	}
	if vanished(err) {
		return noDirectory(joined(names[:n+1]))
	}
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return k.below(dir, names, n+1)
}

func noDirectory(name string) error {
	return fail.New(fail.State, "the new template has a link or a file at /%s, and a directory is needed there", name)
}

// directory creates the directory name in the directory at, which is parent. A data
// directory has the files of the new template, because it hides that.
func (k *keeper) directory(at int, parent, name string) error {
	full := join(parent, name)
	like, err := k.inTemplate(full)
	if err != nil {
		return err
	}
	isData := k.overlay && isDataPath(full)
	if like >= 0 && isData {
		unix.Close(like)
		if err := k.copy(&LiveCopy{}, k.template, at, parent, name); err != nil {
			return err
		}
		return markData(k.target, full)
	}
	if like < 0 {
		if like, err = openBelow(int(k.source.Fd()), full, unix.O_RDONLY|unix.O_DIRECTORY); err != nil {
			return err
		}
	}
	defer unix.Close(like)
	if err := k.empty(at, name, like); err != nil {
		return err
	}
	if isData {
		return markData(k.target, full)
	}
	return nil
}

// inTemplate opens the directory full of the new template; -1 if it has none, or if the
// target has its files.
func (k *keeper) inTemplate(full string) (int, error) {
	if k.template == nil {
		return -1, nil
	}
	fd, err := openBelow(int(k.template.Fd()), full, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		return -1, nil
	}
	if vanished(err) {
		return -1, noDirectory(full)
	}
	return fd, err
}

// empty creates the directory name in the directory at, with the attributes of the
// directory like.
func (k *keeper) empty(at int, name string, like int) error {
	var st unix.Stat_t
	if err := unix.Fstat(like, &st); err != nil {
		return err
	}
	if err := unix.Mkdirat(at, name, 0o700); err != nil {
		return err
	}
	fd, err := openBelow(at, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return copyAttributes(like, fd, &st)
}

// file copies the file names into the directory at of the target.
func (k *keeper) file(at int, names []string) error {
	parent, name, full := joined(names[:len(names)-1]), names[len(names)-1], joined(names)
	if err := removetree.At(k.ctx, at, name); err != nil {
		return err
	}
	for dir, source := range k.data {
		if full == dir {
			return k.dataDir(at, name, dir, source)
		}
		if rest, inside := strings.CutPrefix(full, dir+"/"); inside {
			return k.copy(&LiveCopy{}, source, at, path.Dir(rest), name)
		}
	}
	leave := map[string]bool{}
	for dir := range k.data {
		if strings.HasPrefix(dir, full+"/") {
			leave[strings.TrimPrefix(dir, parent+"/")] = true
		}
	}
	if err := k.copyThrough(leave, at, parent, name); err != nil {
		return err
	}
	if !k.overlay || belowDataPath(full) {
		return nil
	}
	return k.settle(at, full, name)
}

// settle makes the kept directory name hide the new template, and copies the data
// directories in it.
func (k *keeper) settle(at int, full, name string) error {
	fd, err := openBelow(at, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if vanished(err) {
		return nil // another file hides the template by itself
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := layer.SetOpaque(fd); err != nil {
		return err
	}
	for _, dir := range rootfs.DataPaths() {
		if dir != full && !strings.HasPrefix(dir, full+"/") {
			continue
		}
		if source := k.data[dir]; source != nil {
			if err := replaceDir(k.ctx, int(source.Fd()), k.target, dir); err != nil {
				return err
			}
		}
		if err := markData(k.target, dir); err != nil {
			return err
		}
	}
	return nil
}

// dataDir copies the data directory dir, which is name in the directory at.
func (k *keeper) dataDir(at int, name, dir string, source *os.File) error {
	if err := k.empty(at, name, int(source.Fd())); err != nil {
		return err
	}
	if err := replaceDir(k.ctx, int(source.Fd()), k.target, dir); err != nil {
		return err
	}
	return markData(k.target, dir)
}

// copyThrough is copy from what the VPS sees.
func (k *keeper) copyThrough(leave map[string]bool, at int, parent, name string) error {
	var origins []*os.File
	for _, o := range k.origins {
		fd, err := openBelow(int(o.Fd()), here(parent), unix.O_RDONLY|unix.O_DIRECTORY)
		if vanished(err) {
			continue
		}
		if err != nil {
			return err
		}
		origins = append(origins, os.NewFile(uintptr(fd), parent))
	}
	return k.copy(&LiveCopy{leave: leave, origins: origins}, k.source, at, parent, name)
}

// copy copies the entry name of the directory parent in the tree root into the directory
// at. c says how.
func (k *keeper) copy(c *LiveCopy, root *os.File, at int, parent, name string) error {
	c.top, c.only = &known{place: &place{}}, name
	from, err := openBelow(int(root.Fd()), here(parent), unix.O_RDONLY|unix.O_DIRECTORY)
	if err == nil {
		c.from = os.NewFile(uintptr(from), "/"+parent)
		var to int
		if to, err = openBelow(at, ".", unix.O_RDONLY|unix.O_DIRECTORY); err == nil {
			c.to = os.NewFile(uintptr(to), "/"+parent)
		}
	}
	defer c.Close()
	if err != nil {
		return err
	}
	before := k.done
	stop := c.report(k.since(before))
	_, err = c.LastPass(k.ctx)
	stop()
	k.done = before + c.Done()
	return err
}

// since returns the progress of a copy before which done bytes were copied.
func (k *keeper) since(done int64) func(int64) {
	if k.progress == nil {
		return nil
	}
	return func(more int64) { k.progress(done + more) }
}

// here is a path for openBelow.
func here(parent string) string {
	if parent == "" {
		return "."
	}
	return parent
}

func isDataPath(name string) bool { return slices.Contains(rootfs.DataPaths(), name) }

func belowDataPath(name string) bool {
	return slices.ContainsFunc(rootfs.DataPaths(), func(dir string) bool { return strings.HasPrefix(name, dir+"/") })
}
