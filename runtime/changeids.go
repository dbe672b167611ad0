package runtime

import (
	"context"

	"croft/internal/fail"
	"croft/internal/vps"
)

// checkFewerIDs returns the ids that a VPS is to have if they are fewer, and keeps the
// former ones in c.now until releaseIDs. It rejects fewer ids for a VPS that runs, or
// that has files of an id that it would lose.
func (c *change) checkFewerIDs() (vps.IDRange, error) {
	fewer := c.now.IDs
	if fewer.Size >= c.was.IDs.Size {
		return vps.IDRange{}, nil
	}
	c.now.IDs = c.was.IDs
	name := c.now.Name
	init, err := c.liveInit(name)
	if err != nil {
		return fewer, err
	}
	if init.PID != 0 {
		return fewer, fail.New(fail.State, "%s runs, and can make files of the ids that it is to lose: stop it first", name)
	}
	if err := c.notMounted(name); err != nil {
		return fewer, err
	}
	root, err := c.rootfs(c.was.VPS)
	if err != nil {
		return fewer, err
	}
	path, err := c.rootfses.Above(root, fewer.Size)
	if err == nil && path != "" {
		err = fail.New(fail.State, "%s has files of users or groups above %d: for example %s", name, fewer.Size-1, path)
	}
	return fewer, err
}

// saveIDs is save. If ids are added, no other VPS can get them meanwhile.
func (c *change) saveIDs(ctx context.Context) error {
	if c.now.IDs == c.was.IDs {
		return c.save(ctx)
	}
	return c.store.ResizeIDs(ctx, c.now.Name, c.was.IDs, c.now.IDs, func() error { return c.save(ctx) })
}

// releaseIDs gives up ids: from then on others can have them. No-op without fewer.
func (c *change) releaseIDs(ctx context.Context, fewer vps.IDRange) error {
	if fewer.Size == 0 {
		return nil
	}
	former := c.now.IDs
	c.now.IDs = fewer
	return c.store.ResizeIDs(ctx, c.now.Name, former, fewer, func() error { return c.lock.Put(c.now.VPS) })
}
