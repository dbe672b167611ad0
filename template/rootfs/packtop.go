package rootfs

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"croft/template/layer"
)

// PackTop packs the topmost files of r into w, with what set sets. merged and shifted are
// directories for mounts, which it creates if it needs them.
func PackTop(ctx context.Context, r Rootfs, merged, shifted string, w io.Writer, set func(*layer.Packer)) error {
	fd, err := openTop(r)
	if err != nil {
		return err
	}
	view := lazyMerged{r: r}
	view.r.Target, view.r.Scratch = merged, shifted
	defer view.close()
	ids := layer.IDs{First: r.First, Size: r.Size}
	if r.Plain() {
		ids.First = 0
	}
	p := layer.NewPacker(ctx, w, ids)
	p.OpenMerged = view.open
	set(p)
	return p.Pack(fd)
}

// OpenOver opens the topmost files of r over the directories of lower. The caller closes
// them.
func OpenOver(r Rootfs, lower []string) (t *layer.Tree, err error) {
	err = r.Within(func() error {
		t, err = layer.OpenLayers(r.Top(), lower)
		return err
	})
	return t, layer.HostError(err)
}

// openTop opens the directory of the topmost files of r. The caller closes it.
func openTop(r Rootfs) (fd int, err error) {
	err = r.Within(func() error {
		fd, err = unix.Open(r.Top(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", r.Top(), err)
		}
		return nil
	})
	return fd, layer.HostError(err)
}

// lazyMerged opens the merged view of a VPS's root filesystem on the first call:
// only renamed directories need it.
type lazyMerged struct {
	r    Rootfs
	tree *layer.Tree // nil until the first call
}

// open opens the directory name in the merged view.
func (m *lazyMerged) open(name string) (int, error) {
	if m.tree == nil {
		var err error
		if m.tree, err = m.r.OpenMerged(); err != nil {
			return -1, err
		}
	}
	return m.tree.OpenPlain(name)
}

func (m *lazyMerged) close() {
	if m.tree != nil {
		m.tree.Close()
	}
}
