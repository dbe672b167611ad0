package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/paths"
	"croft/template/rootfs"
)

// insidePatience is how long a running VPS may take to let its files be changed: a
// program inside can hold the lock of its accounts, and its disk can be slow.
const insidePatience = 20 * time.Second

// insideOf returns what the edits ask to change inside.
func insideOf(edits []vps.Edit) []vps.Inside {
	var all []vps.Inside
	for _, e := range edits {
		if c, ok := e.(vps.ChangeInside); ok && c.Any() {
			all = append(all, c.Inside)
		}
	}
	return all
}

// changeInside changes files of the VPS, which may run. It is undone with c.
func (c *change) changeInside(ctx context.Context) error {
	for _, what := range c.inside {
		err := c.withFiles(ctx, c.lock, c.now.VPS, func(ctx context.Context, root *inside.Root) error {
			undo, err := c.guests.Change(ctx, root, c.now.VPS, what)
			if err == nil {
				c.undo.Arm(func() error {
					return c.withFiles(context.WithoutCancel(ctx), c.lock, c.was.VPS, func(_ context.Context, root *inside.Root) error { return undo(root) })
				})
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// withFiles calls do with the root directory of the locked VPS, in the running VPS or
// in a mount of its own. The context of do ends when a running VPS takes too long.
func (m *Manager) withFiles(ctx context.Context, l *state.Locked, v vps.VPS, do func(context.Context, *inside.Root) error) error {
	init, err := m.liveInit(v.Name)
	if err != nil {
		return err
	}
	if init != (inside.Identity{}) {
		// do ends first, so that nothing is changed after an error.
		within, cancel := context.WithTimeout(ctx, insidePatience/2)
		defer cancel()
		err := inside.InRootFor(ctx, insidePatience, init, func(root *inside.Root) error { return do(within, root) })
		if errors.Is(err, inside.ErrGone) {
			return fail.New(fail.State, "%s has stopped meanwhile", v.Name)
		}
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return fail.New(fail.State, "%s is starting or stopping", v.Name).WithHint("croft wait --for running %s", v.Name)
	}
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	dir, err := m.openFiles(v)
	if err != nil {
		return err
	}
	root := inside.RootOf(dir)
	defer root.Close()
	return do(ctx, root)
}

// fillDraft makes the changes in the files of a VPS that is being created.
func (m *Manager) fillDraft(ctx context.Context, draft *state.Draft, v vps.VPS, what vps.Inside) error {
	if !what.Any() {
		return nil
	}
	mount := paths.DraftMount(draft)
	place, err := m.rootfsIn(v, rootfs.Rootfs{Dir: paths.DraftFS(draft), Target: mount + "/rootfs", Scratch: mount + "/lower"})
	if err != nil {
		return err
	}
	dir, err := m.rootfses.Open(place)
	if err != nil {
		return err
	}
	root := inside.RootOf(dir)
	_, err = m.guests.Change(ctx, root, v, what)
	root.Close()
	if err != nil {
		return err
	}
	for _, d := range []string{mount + "/rootfs", mount + "/lower", mount} {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove mount point: %w", err)
		}
	}
	return nil
}
