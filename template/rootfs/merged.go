package rootfs

import (
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/template/layer"
)

// readOnly are the mount flags of a merged view.
const readOnly = unix.MS_RDONLY | unix.MS_NODEV | unix.MS_NOEXEC

// WithMerged calls do with a directory in which the layers dirs, the topmost
// first, are one read-only tree. A VPS sees the same tree, but with its own ids.
// The tree is mounted at the directory at, which is created if it is missing, in
// a private mount namespace. The mount ends with the call. It needs root, unless
// there is only one layer.
func WithMerged(at string, dirs []string, do func(root string) error) error {
	if len(dirs) == 1 {
		return do(dirs[0]) // an overlay needs two
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return layer.HostError(err)
	}
	var err error
	if perr := nsthread.PrivateMounts(func() { err = mountMerged(at, dirs, do) }); perr != nil {
		return layer.HostError(perr)
	}
	return err
}

func mountMerged(at string, dirs []string, do func(root string) error) error {
	if err := (overlay{lowers: dirs, flags: readOnly}).mount(at); err != nil {
		return err
	}
	err := do(at)
	if uerr := unmount(at); err == nil {
		err = uerr
	}
	return err
}

// OpenMerged opens the root filesystem r as the VPS sees it, read-only. It is
// mounted at Target, with layers in Scratch, in a private mount namespace. The
// mounts end when the caller has closed the tree and all files opened in it.
// Target and Scratch are created if they are missing.
func (r Rootfs) OpenMerged() (*layer.Tree, error) {
	for _, d := range []string{r.Target, r.Scratch} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, layer.HostError(err)
		}
	}
	var tree *layer.Tree
	var err error
	if perr := nsthread.PrivateMounts(func() { tree, err = r.openMerged() }); perr != nil {
		return nil, layer.HostError(perr)
	}
	return tree, err
}

func (r Rootfs) openMerged() (*layer.Tree, error) {
	if err := r.mountImage(); err != nil {
		return nil, err
	}
	lowers, err := r.shiftLayers()
	if err != nil {
		return nil, err
	}
	if r.Dir != "" { // nothing writes, so the VPS's own files can be the topmost lower directory
		lowers = append([]string{r.Upper()}, lowers...)
	}
	if err := (overlay{lowers: lowers, flags: readOnly}).mount(r.Target); err != nil {
		return nil, err
	}
	return layer.OpenTree(r.Target)
}
