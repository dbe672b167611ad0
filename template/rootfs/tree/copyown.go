package tree

import (
	"context"

	"croft/template/layer"
	"croft/template/rootfs"
)

// CopyOwn copies the VPS's own files from one place to another, which has none yet,
// exactly and durably. Nothing uses them meanwhile. After an error a part of the copy may
// be there.
func CopyOwn(ctx context.Context, from, to rootfs.Rootfs) error {
	var c *LiveCopy
	err := rootfs.WithinBoth(from, to, func() (err error) {
		if err = to.MakeDir(); err != nil {
			return err
		}
		c, err = NewLiveCopy(from.Own().Dir, to.Own().Dir)
		return err
	})
	if err != nil {
		return layer.HostError(err)
	}
	defer c.Close()
	if _, err := c.LastPass(ctx); err != nil {
		return err
	}
	return c.Finish()
}
