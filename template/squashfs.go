package template

import (
	"context"
	"io"

	"croft/template/layer"
	"croft/template/rootfs/diskfile"
)

// squashfsMagic begins an image of squashfs (SQUASHFS_MAGIC, little-endian).
const squashfsMagic = "hsqs"

// stageSquashfs stages a layer with the files of an image of squashfs. The kernel reads
// it, mounted read-only and nowhere.
func (s *Store) stageSquashfs(ctx context.Context, st *stage, file string, budget *layer.Budget) (stagedLayer, error) {
	return s.stageWritten(ctx, st, nil, budget, func(w io.Writer) error {
		fd, err := diskfile.OpenReadOnly(file, "squashfs")
		if err != nil {
			return err
		}
		p := layer.NewPacker(ctx, w, layer.IDs{})
		p.Standalone = true
		return p.Pack(fd)
	})
}
