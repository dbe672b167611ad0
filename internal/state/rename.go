package state

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// Rename makes the locked VPS the one of to's name, durably, at one instant;
// Put says so in its settings next. It is fail.NotFound if there is no such
// VPS, fail.Taken if there is one of that name. Neither may run.
func (l *Locked) Rename(to *Locked) error {
	old, final := l.store.VPSDir(l.name), l.store.VPSDir(to.name)
	// With the locks of those who must see every VPS, under one name or another:
	// who looks for free ids, for ports, and for templates that nobody needs.
	err := l.store.still(func() error {
		err := unix.Renameat2(unix.AT_FDCWD, old, unix.AT_FDCWD, final, unix.RENAME_NOREPLACE)
		switch {
		case errors.Is(err, unix.EEXIST):
			return taken(to.name)
		case errors.Is(err, unix.ENOENT):
			return fail.New(fail.NotFound, "no VPS named %q", l.name).WithHint("croft list")
		case err != nil:
			return hostError("rename "+old+" to", final, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return syncDir(l.store.vpsDirs())
}

// still calls do while no id range and no port is claimed and AllStill waits.
func (s *Store) still(do func() error) error {
	return exclusively(context.Background(), s.poolFile(), func() error {
		return exclusively(context.Background(), s.portsFile(), do)
	})
}

// AllStill is All while no VPS is renamed or comes into being, so that none is
// missing: a directory that gets another name while it is looked for may be
// found by neither.
func (s *Store) AllStill(ctx context.Context) (all []Entry, err error) {
	err = exclusively(ctx, s.poolFile(), func() (err error) {
		all, err = s.All()
		return err
	})
	return all, err
}

// MoveRun has what is known of the runs of the VPS old be known of new's.
// Nothing known is success. Neither runs.
func (s *Store) MoveRun(old, new string) error {
	for _, name := range []string{old, new} {
		if _, err := ParseName(name); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(s.RunDir(old)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.RemoveRun(new); err != nil {
		return err
	}
	if err := os.Rename(s.RunDir(old), s.RunDir(new)); err != nil {
		return hostError("rename", s.RunDir(old), err)
	}
	return nil
}

// Renamed returns the VPS that was name and is not any more, though not
// everything knows it by its new name yet (VPS.RenamedFrom); "" if there is
// none.
func (s *Store) Renamed(name string) (string, error) {
	dirs, err := readNames(s.vpsDirs())
	if err != nil {
		return "", err
	}
	for _, dir := range dirs {
		if _, err := ParseName(dir); err != nil || dir == name {
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.vpsDirs(), dir, vpsFileName))
		if err != nil || !bytes.Contains(data, []byte(`"renamedFrom"`)) {
			continue // most were never renamed, and are not parsed
		}
		var v VPS
		if decode(data, s.VPSFile(dir), &v) == nil && v.RenamedFrom == name {
			return dir, nil
		}
	}
	return "", nil
}
