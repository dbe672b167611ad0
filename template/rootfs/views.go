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
	return withViews(at, func(v *views) error {
		var roots []string
		for _, stack := range stacks {
			root, err := v.mount("overlay", stack)
			if err != nil {
				return err
			}
			roots = append(roots, root)
		}
		return do(roots)
	})
}

// withViews calls do with a place for views in a private mount namespace.
func withViews(at string, do func(v *views) error) error {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return layer.HostError(err)
	}
	var err error
	if perr := nsthread.PrivateMounts(func() { err = onTmpfs(at, do) }); perr != nil {
		return layer.HostError(perr)
	}
	return err
}

func onTmpfs(at string, do func(v *views) error) (err error) {
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", at, err)
	}
	defer func() {
		if uerr := unmount(at); err == nil { // with all mounts below it
			err = uerr
		}
	}()
	v := &views{at: at, inside: map[Frozen]string{}}
	if v.empty, err = v.directory(); err != nil {
		return err
	}
	return do(v)
}

// views are mounts below the directory at.
type views struct {
	at     string
	empty  string            // a directory
	inside map[Frozen]string // where a layer is mounted with the ids inside the VPS
	n      int
}

// mount mounts a stack as one tree, and returns its directory. source is the name of
// the mount.
func (v *views) mount(source string, stack []Frozen) (string, error) {
	dirs := make([]string, 0, len(stack)+1)
	for _, l := range stack {
		dir, err := v.layer(l)
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
	return root, mountNamedOverlay(source, root, append(dirs, v.empty), "", "", readOnly|unix.MS_NOSUID)
}

// directory creates a directory.
func (v *views) directory() (string, error) {
	dir := filepath.Join(v.at, strconv.Itoa(v.n))
	v.n++
	return dir, os.Mkdir(dir, 0o700)
}

// layer returns a directory in which l has the ids inside the VPS.
func (v *views) layer(l Frozen) (string, error) {
	if err := l.mountImage(); err != nil {
		return "", err
	}
	if l.Size == 0 || l.First == 0 {
		return l.Dir, nil
	}
	if dir, ok := v.inside[l]; ok {
		return dir, nil
	}
	dir, err := v.directory()
	if err != nil {
		return "", err
	}
	ns, err := userns.New(l.First, 0, l.Size)
	if err != nil {
		return "", err
	}
	defer ns.Close()
	v.inside[l] = dir
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
