package archive

import (
	"bufio"
	"context"
	"io"

	"croft/template/layer"
	"croft/template/rootfs/diskfile"
)

// squashfsMagic begins an image of squashfs (SQUASHFS_MAGIC, little-endian).
const squashfsMagic = "hsqs"

// PackSquashfs writes a tar with the files of an image of squashfs to w. The kernel reads
// the image, mounted read-only and nowhere.
func PackSquashfs(ctx context.Context, w io.Writer, file string) error {
	fd, err := diskfile.OpenReadOnly(file, "squashfs")
	if err != nil {
		return err
	}
	p := layer.NewPacker(ctx, w, layer.IDs{})
	p.Standalone = true
	return p.Pack(fd)
}

// IsSquashfs reports whether r has an image of squashfs.
func IsSquashfs(r *bufio.Reader) bool {
	magic, _ := r.Peek(len(squashfsMagic)) // an error means that the archive is shorter
	return string(magic) == squashfsMagic
}
