package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/vps"
)

// ResizeIDs calls save, which writes that the VPS name has the ids now in place of was,
// while no other VPS gets ids. Both ranges have the same first id. fail.Taken: another
// VPS, a user or a process of the host has one of the added ids. Then save is not
// called.
func (s *Store) ResizeIDs(ctx context.Context, name vps.Name, was, now vps.IDRange, save func() error) error {
	return exclusively(ctx, s.poolFile(), flock.IDs, func() error {
		if now.Size > was.Size {
			added := vps.IDRange{First: was.First + was.Size, Size: now.Size - was.Size}
			if err := s.checkFreeIDs(name, now, added); err != nil {
				return err
			}
		}
		others, err := s.dirIDs(s.VPSDir(name))
		if err != nil {
			return err
		}
		// The index could keep the former range, also after a power failure.
		if err := os.Remove(s.idIndexFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return hostError("remove", s.idIndexFile(), err)
		}
		if err := syncDir(s.Root); err != nil {
			return err
		}
		if err := save(); err != nil {
			return err
		}
		if key, err := keyOf(s.VPSDir(name)); err == nil {
			s.writeIDIndex(append(others, dirRange{key, now}))
		}
		return nil
	})
}

func (s *Store) checkFreeIDs(name vps.Name, all, added vps.IDRange) error {
	taken := fail.New(fail.Taken, "%s cannot have %d user ids: the ids after its own are in use, and its files cannot change their owners; make a template of it, and a new VPS of that", name, all.Size).
		WithHint("croft help template create")
	used, _, err := s.usedIDs(s.VPSDir(name))
	if err != nil {
		return err
	}
	if uint64(added.First)+uint64(added.Size) > endIDs || slices.ContainsFunc(used, added.Overlaps) {
		return taken
	}
	if _, inUse := s.firstInUse(added); inUse {
		return taken
	}
	return nil
}
