package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/runtime/backup"
	"croft/runtime/moves"
	"croft/template/rootfs"
)

// A move with the processes of a VPS: the source saves them as Checkpoint does, and sends
// the images after the last changes of the files. The target has them as a checkpoint of its
// own, so that the start after the release makes the processes again. The source keeps its
// checkpoint until then: if they cannot be made there, it makes them again from that.

// live returns what the processes need of another host. why says that they cannot be saved.
func (g *moving) live(ctx context.Context) (l *moves.Live, why, err error) {
	_, _, why = g.savableNow(ctx, g.v)
	if why != nil {
		return nil, why, nil
	}
	facts, err := g.liveFacts(ctx)
	facts.IDs = g.v.IDs
	return &facts, nil, err
}

// liveFacts returns what this host has of what saved processes depend on.
func (m *Manager) liveFacts(ctx context.Context) (moves.Live, error) {
	version, err := m.criu.Check(ctx)
	if err != nil {
		return moves.Live{}, err
	}
	h, err := m.criu.Host()
	return moves.Live{Criu: version.String(), Kernel: kernelRelease(), CPU: h.CPU, Cgroups: h.Cgroups}, err
}

// saveProcesses saves the processes of the running VPS and ends it. On an error it runs on.
func (g *moving) saveProcesses(ctx context.Context) error {
	seen, c, err := g.savableNow(ctx, g.v)
	if err != nil {
		return err
	}
	if err := g.put(state.MoveSwitching); err != nil {
		return err
	}
	return g.checkpointLocked(ctx, g.l, g.v, seen, c)
}

// sendProcesses sends the images.
func (g *moving) sendProcesses(ctx context.Context) error {
	c, ok, err := g.store.Checkpoint(g.v.Name)
	if err == nil && !ok {
		err = fail.New(fail.State, "its checkpoint has disappeared")
	}
	if err != nil {
		return err
	}
	dir := state.ImagesDir(g.store.CheckpointDir(g.v.Name))
	_, err = g.ask(ctx, moves.Request{Ask: moves.AskSaved, Checkpoint: &c}, func(w io.Writer) error { return g.criu.Pack(ctx, dir, w) })
	return err
}

// done records that the move is complete. The saved processes run on the other host.
func (g *moving) done() error {
	if err := g.put(state.MoveDone); err != nil {
		return err
	}
	return g.store.RemoveCheckpoint(g.v.Name)
}

// startAsBefore starts the locked VPS, which a move has stopped. If its processes were saved
// and cannot be made again, it boots, and that is a warning.
func (m *Manager) startAsBefore(ctx context.Context, l *state.Locked) error {
	err := m.startLocked(ctx, l, spawnBoot)
	if _, saved, e := m.store.Checkpoint(l.Name()); err == nil || !saved && e == nil {
		return err
	}
	m.warn(fmt.Sprintf("%s: its processes cannot be made again, so it boots: %v", l.Name(), err))
	if err := m.store.RemoveCheckpoint(l.Name()); err != nil {
		return err
	}
	return m.startLocked(ctx, l, spawnBoot)
}

// checkLive says why the processes cannot be made again on this host.
func (w wanted) checkLive(ctx context.Context) error {
	l := w.offer.Live
	if l == nil {
		return nil
	}
	here, err := w.liveFacts(ctx)
	if err != nil {
		w.problem(fmt.Errorf("its processes cannot be made again there: %w", err))
		return nil
	}
	w.reply.Problems = append(w.reply.Problems, l.Lacks(here)...)
	if w.v.Privileged {
		return nil
	}
	w.problem(w.criu.CheckLimits())
	w.emptyTrash(ctx) // a copy of a move that was killed or aborted has them
	err = w.store.IDsFree(ctx, l.IDs)
	if err == nil {
		err = w.unused(l.IDs)
	}
	if err != nil {
		w.problem(fmt.Errorf("its processes keep their user ids: %w there", err))
	}
	return nil
}

// asSaved gives the VPS what its saved processes know: its user ids and its host name.
func (i *importing) asSaved(settings json.RawMessage, l *moves.Live) error {
	if l == nil {
		return nil
	}
	d, _, err := backup.Parse(settings)
	if err != nil {
		return err
	}
	i.VPS.Hostname, i.ids = d.VPS.Hostname, l.IDs
	return nil
}

// takeProcesses receives the images of saved processes into the draft, whose files are at
// root.
func (i *importing) takeProcesses(ctx context.Context, c *state.Checkpoint, r io.Reader, root rootfs.Rootfs) error {
	if c == nil {
		return fail.New(fail.Usage, "the request has no checkpoint")
	}
	dir, err := state.DraftCheckpointIn(filepath.Dir(root.Dir))
	if err != nil {
		return err
	}
	i.saved = c
	return i.criu.Unpack(ctx, state.ImagesDir(dir), r)
}

// keepProcesses makes the images a checkpoint of the new VPS.
func (i *importing) keepProcesses() error {
	if i.saved == nil {
		return nil
	}
	v, err := i.store.Get(i.VPS.Name)
	if err != nil {
		return err
	}
	root, err := i.rootfs(v)
	if err != nil {
		return err
	}
	c := *i.saved
	c.VPS = v
	if c.Files, err = i.rootfses.Digest(root); err != nil {
		return err
	}
	return i.store.KeepCheckpoint(v.Name, c)
}
