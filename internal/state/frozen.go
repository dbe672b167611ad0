package state

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"croft/internal/flock"
	"croft/internal/vps"
)

// Frozen layers are in frozen/ID/tree. The settings of VPSs and their snapshots say who
// uses which. A layer without a user is rubbish, unless a process fills it and holds
// its lock. A VPS or a snapshot gets only new layers, and those of a VPS whose lock its
// creator holds until it has them. So a layer without a user never gets one again.

// A NewLayer is a frozen layer that has no user yet.
type NewLayer struct {
	ID   string
	Tree string // the directory with its files, which does not exist yet
	lock *flock.File
}

// BeginLayer creates a frozen layer without files. The caller closes it when it has a
// user, or is not needed. A layer without a user whose creator has ended is rubbish
// (RemoveUnused).
func (s *Store) BeginLayer() (*NewLayer, error) {
	for {
		id := suffix()
		dir := filepath.Join(s.frozenDir(), id)
		err := os.Mkdir(dir, private)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, hostError("make directory", dir, err)
		}
		lock, err := lockDir(dir, flock.Layer)
		if err != nil {
			_ = os.Remove(dir)
			return nil, err
		}
		if lock == nil { // it was removed as rubbish in between
			continue
		}
		if err := s.MarkUnused(); err != nil { // if this process is killed it has no user
			lock.Close()
			return nil, err
		}
		return &NewLayer{ID: id, Tree: s.FrozenTree(id), lock: lock}, nil
	}
}

// Close ends the creation of the layer: it stays if it has a user. Doing it twice is
// harmless.
func (n *NewLayer) Close() {
	if n.lock != nil {
		_ = n.lock.Close()
		n.lock = nil
	}
}

// HoldLayers keeps layers from being changed and removed until release is called, also
// if they lose their last user. One that is missing is fail.State.
func (s *Store) HoldLayers(ctx context.Context, layers []vps.Frozen) (release func(), err error) {
	var held []*flock.File
	release = func() {
		for _, f := range held {
			f.Close()
		}
	}
	for _, l := range layers {
		dir := filepath.Join(s.frozenDir(), l.ID)
		f, err := flock.OpenDir(dir, flock.Layer)
		if err == nil {
			held = append(held, f)
			err = f.WaitShared(ctx)
		}
		if err == nil && !f.At(dir) {
			err = fs.ErrNotExist
		}
		if err != nil {
			release()
			return nil, hostError("lock", dir, err)
		}
	}
	return release, nil
}

// TryLayers takes the locks of layers, unless HoldLayers holds one of them; "" is none.
// It reports whether it has them. The caller releases them.
func (s *Store) TryLayers(ids ...string) (release func(), got bool, err error) {
	var held []*flock.File
	release = func() {
		for _, f := range held {
			f.Close()
		}
	}
	for _, id := range ids {
		if id == "" {
			continue
		}
		f, err := lockDir(filepath.Join(s.frozenDir(), id), flock.Layer)
		if err != nil || f == nil {
			release()
			return func() {}, false, err
		}
		held = append(held, f)
	}
	return release, true, nil
}

// ForgetPacked removes what is known about frozen layers in registries, durably. It is
// called before their files change.
func (s *Store) ForgetPacked(ids ...string) error {
	for _, id := range ids {
		err := os.Remove(s.PackedFile(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = syncDir(filepath.Join(s.frozenDir(), id))
		}
		if err != nil {
			return hostError("remove", s.PackedFile(id), err)
		}
	}
	return nil
}

// MarkUnused says that layers may lose their last user: the next RemoveUnused looks for
// them. It is called before that happens, durably.
func (s *Store) MarkUnused() error {
	if err := os.WriteFile(s.unusedMark(), nil, 0o600); err != nil {
		return hostError("write", s.unusedMark(), err)
	}
	return syncDir(s.frozenDir())
}

// RemoveUnused moves the layers without a user into the trash (EmptyTrash). No-op if
// none can have lost its user since the last time. If the settings of some VPS cannot
// be read, it may use any layer, and nothing is removed: that is an error.
func (s *Store) RemoveUnused(ctx context.Context) error {
	if s.unused || !exists(s.unusedMark()) {
		return nil
	}
	// The mark goes first: who loses a layer from now on sets it again.
	if err := os.Remove(s.unusedMark()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return hostError("remove", s.unusedMark(), err)
	}
	if err := s.removeUnused(ctx); err != nil {
		return errors.Join(err, s.MarkUnused())
	}
	return nil
}

func (s *Store) removeUnused(ctx context.Context) error {
	ids, err := readNames(s.frozenDir())
	if err != nil {
		return err
	}
	used, err := s.usedLayers(ctx)
	if err != nil {
		return err
	}
	var held []*flock.File
	defer func() {
		for _, lock := range held {
			lock.Close()
		}
	}()
	var free []string
	for _, id := range ids {
		dir := filepath.Join(s.frozenDir(), id)
		if used[id] || !isDir(dir) {
			continue
		}
		lock, err := lockDir(dir, flock.Layer)
		if err != nil {
			return err
		}
		if lock != nil {
			held, free = append(held, lock), append(free, id)
			continue
		}
		if err := s.MarkUnused(); err != nil { // a process fills it, and may be killed
			return err
		}
	}
	// Its creator may have given a layer a user before it let go of the lock.
	if used, err = s.usedLayers(ctx); err != nil {
		return err
	}
	for _, id := range free {
		if used[id] {
			continue
		}
		if _, err := s.moveToTrash(filepath.Join(s.frozenDir(), id), "frozen_"+id+"."+suffix()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) usedLayers(ctx context.Context) (map[string]bool, error) {
	all, err := s.Stacks(ctx)
	used := map[string]bool{}
	for _, stack := range all {
		for _, f := range stack.Frozen {
			used[f.ID] = true
		}
	}
	return used, err
}

// A Stack is the layers of a VPS or of a snapshot.
type Stack struct {
	VPS      vps.Name
	Snapshot string // "": the VPS itself
	Trashed  string // the id of a VPS in the trash; "" for others
	Draft    bool   // of a VPS that is being created
	Template vps.Template
	Frozen   []vps.Frozen
}

// Stacks returns the layers of all VPSs and snapshots, those of drafts and in the trash
// too. No VPS is created, renamed or restored meanwhile. What cannot be read is an
// error.
func (s *Store) Stacks(ctx context.Context) (all []Stack, err error) {
	if s.unused {
		return nil, nil
	}
	err = exclusively(ctx, s.poolFile(), flock.IDs, func() error {
		for _, parent := range []string{s.vpsDirs(), s.TrashDir()} {
			more, err := s.stacksBelow(parent)
			if err != nil {
				return err
			}
			all = append(all, more...)
		}
		return nil
	})
	return all, err
}

// stacksBelow returns the stacks of the VPSs in the directory parent.
func (s *Store) stacksBelow(parent string) ([]Stack, error) {
	names, err := readNames(parent)
	if err != nil {
		return nil, err
	}
	var all []Stack
	for _, file := range names {
		dir := filepath.Join(parent, file)
		if strings.HasPrefix(file, ".") && !isLocked(dir) {
			continue // a note, or a draft that its creator has left
		}
		var t Trashed
		if parent == s.TrashDir() {
			if t, _ = parseKept(file); !keptUntilLater(file) {
				continue
			}
		}
		some, err := stacksIn(dir)
		if err != nil {
			return nil, err
		}
		for i := range some {
			some[i].Trashed, some[i].Draft = t.ID, strings.HasPrefix(file, ".")
			if name, err := vps.ParseName(cmp.Or(string(t.Name), file)); err == nil { // not a draft
				some[i].VPS = name
			}
		}
		all = append(all, some...)
	}
	return all, nil
}

// stacksIn returns the stacks of the VPS in the directory dir: its own and those of its
// snapshots. There is none if the directory is not one of a VPS.
func stacksIn(dir string) ([]Stack, error) {
	path := filepath.Join(dir, vpsFileName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err != nil && !isDir(dir) {
		return nil, nil
	}
	if err != nil {
		return nil, hostError("read", path, err)
	}
	var v vps.VPS
	if err := decode(data, path, &v); err != nil {
		return nil, err
	}
	all := []Stack{{VPS: v.Name, Template: v.Template, Frozen: v.Frozen}}
	snapshots, err := snapshotsIn(dir)
	for _, n := range snapshots {
		if n.Err != nil {
			return nil, n.Err
		}
		all = append(all, Stack{VPS: v.Name, Snapshot: n.Name, Template: n.VPS.Template, Frozen: n.VPS.Frozen})
	}
	return all, err
}
