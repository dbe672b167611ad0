package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/internal/userns"
	"croft/template/layer"
)

// WithViews calls do with a directory for each stack of layers, in which the layers,
// the topmost first, are one read-only tree. Owners are the ids inside a VPS,
// whatever ids a layer has on disk. A layer of a template is a Frozen with a
// directory alone. The trees are mounted below the directory at, which is created if
// it is missing, in a private mount namespace, and end with the call. It needs root.
//
// A VPS may use one of the layers as its upper directory meanwhile. Then a change
// may be missing in the tree.
func WithViews(at string, stacks [][]Frozen, do func(roots []string) error) error {
	return WithLayers(at, 0, func(v *Layered) error {
		var roots []string
		for _, stack := range stacks {
			root, err := v.Stack(stack)
			if err != nil {
				return err
			}
			roots = append(roots, root)
		}
		return do(roots)
	})
}

// WithLayers is WithViews for a caller that mounts stacks and layers itself, with the ids
// from first on in place of those inside. Layers of a template have the size of the VPS
// then (Mapped).
func WithLayers(at string, first uint32, do func(v *Layered) error) error {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return layer.HostError(err)
	}
	var err error
	if perr := nsthread.PrivateMounts(func() { err = onTmpfs(at, first, do) }); perr != nil {
		return layer.HostError(perr)
	}
	return err
}

func onTmpfs(at string, first uint32, do func(v *Layered) error) (err error) {
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", at, err)
	}
	defer func() {
		if uerr := unmount(at); err == nil { // with all mounts below it
			err = uerr
		}
	}()
	v := &Layered{at: at, first: first, shifted: map[Frozen]string{}}
	if v.empty, err = v.directory(); err != nil {
		return err
	}
	return do(v)
}

// A Layered has mounts below the directory at, with the ids from first on.
type Layered struct {
	at      string
	first   uint32
	empty   string            // a directory
	shifted map[Frozen]string // where a layer is mounted with these ids
	n       int
}

// Stack mounts a stack, the topmost layer first, as one read-only tree, and returns its
// directory.
func (v *Layered) Stack(stack []Frozen) (string, error) { return v.mount("overlay", stack) }

// mount mounts a stack as one tree, and returns its directory. source is the name of
// the mount.
func (v *Layered) mount(source string, stack []Frozen) (string, error) {
	dirs := make([]string, 0, len(stack)+1)
	for _, l := range stack {
		dir, err := v.Layer(l)
		if err != nil {
			return "", err
		}
		dirs = append(dirs, dir)
	}
	root, err := v.directory()
	if err != nil {
		return "", err
	}
	// An overlay needs two layers.
	return root, overlay{source: source, lowers: append(dirs, v.empty), flags: readOnly | unix.MS_NOSUID}.mount(root)
}

// directory creates a directory.
func (v *Layered) directory() (string, error) {
	dir := filepath.Join(v.at, strconv.Itoa(v.n))
	v.n++
	return dir, os.Mkdir(dir, 0o700)
}

// Layer returns a directory with the files of l alone.
func (v *Layered) Layer(l Frozen) (string, error) {
	if err := l.mountImage(); err != nil {
		return "", err
	}
	if l.Size == 0 || l.First == v.first {
		return l.Dir, nil
	}
	if dir, ok := v.shifted[l]; ok {
		return dir, nil
	}
	dir, err := v.directory()
	if err != nil {
		return "", err
	}
	ns, err := userns.New(l.First, v.first, l.Size)
	if err != nil {
		return "", err
	}
	defer ns.Close()
	v.shifted[l] = dir
	return dir, mountShifted(l.Dir, dir, int(ns.Fd()))
}

// WithIDs calls do with a directory in which l has the ids from first on, whatever ids
// it has on disk. It is mounted read-only at the directory at, which is created if it is
// missing, in a private mount namespace, and ends with the call.
func WithIDs(at string, l Frozen, first uint32, do func(dir string) error) error {
	if l.Size == 0 || l.First == first {
		return l.Within(do)
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return layer.HostError(err)
	}
	ns, err := userns.New(l.First, first, l.Size)
	if err != nil {
		return err
	}
	defer ns.Close()
	perr := nsthread.PrivateMounts(func() {
		if err = l.mountImage(); err != nil {
			return
		}
		if err = mountShifted(l.Dir, at, int(ns.Fd())); err != nil {
			return
		}
		err = do(at)
		if uerr := unmount(at); err == nil {
			err = uerr
		}
	})
	if perr != nil {
		return layer.HostError(perr)
	}
	return err
}
