package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"croft/template/layer"
	"croft/template/rootfs"
)

// Fill creates the directory to, a copy of what a VPS with the layers of stack sees, the
// topmost first. Owners are the ids inside the VPS. Files share their blocks with the
// layers where the filesystem can do that. Afterwards the copy is on the disk. The
// layers are mounted as by rootfs.WithViews, at the directory at, and do not change. The
// parent of to is created.
//
// progress, which may be nil, is called with the number of bytes copied so far, if the
// copy takes longer than a moment. On an error to may exist.
func Fill(ctx context.Context, at string, stack []rootfs.Frozen, to string, progress func(done int64)) error {
	return rootfs.WithViews(at, [][]rootfs.Frozen{stack}, func(roots []string) error {
		return copyAll(ctx, roots[0], stack, to, progress)
	})
}

// Copy creates the directory to, an exact copy of the directory from, which nothing
// changes meanwhile. The rest is as for Fill.
func Copy(ctx context.Context, from, to string, progress func(done int64)) error {
	return copyAll(ctx, from, nil, to, progress)
}

// CopyTree is Copy of the files of a root filesystem, with the ids that they have on disk.
func CopyTree(ctx context.Context, from rootfs.Frozen, to string, progress func(done int64)) error {
	return from.Within(func(dir string) error { return Copy(ctx, dir, to, progress) })
}

func copyAll(ctx context.Context, from string, origins []rootfs.Frozen, to string, progress func(done int64)) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return layer.HostError(err)
	}
	c, err := NewLiveCopy(from, to)
	if err != nil {
		return layer.HostError(err)
	}
	defer c.Close()
	for _, l := range origins {
		root, err := openRoot(l.Dir)
		if err != nil {
			return layer.HostError(err)
		}
		c.origins = append(c.origins, root)
	}
	stop := c.report(progress)
	_, err = c.LastPass(ctx)
	stop()
	if err == nil {
		err = c.Finish()
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	return layer.HostError(err)
}

// reportEvery is how often progress is reported.
const reportEvery = 200 * time.Millisecond

// report calls progress with Done regularly until the function that it returns is
// called. No-op without progress.
func (c *LiveCopy) report(progress func(done int64)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				progress(c.Done())
			}
		}
	}()
	return func() { close(done); <-ended }
}
