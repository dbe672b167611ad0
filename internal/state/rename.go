package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/vps"
)

// Rename gives the locked VPS the name of to, durably, at one instant. The
// caller writes the settings with the new name next (Put). A missing VPS is
// fail.NotFound, an existing one of the new name fail.Taken. Neither may run.
func (l *Locked) Rename(to *Locked) error {
	old, final := l.store.VPSDir(l.name), l.store.VPSDir(to.name)
	if err := replaceFile(l.store.renamedFile(l.name), []byte(to.name+"\n")); err != nil {
		return err
	}
	// With the locks of those who must see every VPS, under one name or another:
	// who looks for free ids, for ports, and for templates that nobody needs.
	err := l.store.withNoRenames(func() error {
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

// ForgetRename removes the record of Rename about the VPS that had the name
// old. No-op without a record.
func (s *Store) ForgetRename(old vps.Name) error {
	path := s.renamedFile(old)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return hostError("remove", path, err)
	}
	return nil
}

// withNoRenames calls do with the locks of the id pool and of the ports held.
// Meanwhile no other command claims ids or ports or renames a VPS, and
// AllConsistent waits.
func (s *Store) withNoRenames(do func() error) error {
	return exclusively(context.Background(), s.poolFile(), flock.IDs, func() error {
		return exclusively(context.Background(), s.portsFile(), flock.Ports, do)
	})
}

// AllConsistent is like All, but no VPS is renamed or published meanwhile.
// All alone can miss a VPS: if its directory is renamed during the listing, the
// listing may contain neither the old name nor the new one.
func (s *Store) AllConsistent(ctx context.Context) (all []Entry, err error) {
	err = exclusively(ctx, s.poolFile(), flock.IDs, func() (err error) {
		all, err = s.All()
		return err
	})
	return all, err
}

// MoveRun renames the run directory of the VPS old to that of new, and replaces
// the one of new. It does nothing if old has no run directory. Neither VPS may
// be running.
func (s *Store) MoveRun(old, new vps.Name) error {
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
// none. It reads two files, however many VPSs there are: Rename leaves a note
// under the old name, which is believed if the VPS says the same.
func (s *Store) Renamed(name vps.Name) (vps.Name, error) {
	path := s.renamedFile(name)
	note, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", hostError("read", path, err)
	}
	new, err := vps.ParseName(strings.TrimSpace(string(note)))
	if err != nil {
		return "", nil
	}
	v, err := s.Get(new)
	if err != nil || v.RenamedFrom != name {
		return "", nil
	}
	return new, nil
}
