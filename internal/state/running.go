package state

import (
	"errors"
	"io/fs"
	"os"

	"croft/internal/fail"
	"croft/internal/vps"
)

// The mark of a VPS that should be running: it was started, and no command and
// no process inside has stopped it since. The mark belongs to the VPS and not
// to a boot of the host. It survives a power cut, so the next boot knows which
// VPSs to start. Whether the VPS runs now only the life lock tells.

// ShouldRun reports whether name is marked as one that should be running.
func (s *Store) ShouldRun(name vps.Name) (bool, error) {
	_, err := os.Lstat(s.runningFile(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, hostError("look at", s.runningFile(name), err)
	}
	return true, nil
}

// MarkRunning marks name, durably. No-op if it is marked. A missing VPS is
// fail.NotFound. Only the holder of the VPS's lock, and a monitor that holds
// its life lock, may mark and unmark.
func (s *Store) MarkRunning(name vps.Name) error {
	if is, err := s.ShouldRun(name); err != nil || is {
		return err
	}
	path := s.runningFile(name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return fail.New(fail.NotFound, "no VPS named %q", name).WithHint("croft list")
	}
	if err != nil {
		return hostError("make", path, err)
	}
	if err := f.Close(); err != nil {
		return hostError("make", path, err)
	}
	return syncDir(s.VPSDir(name))
}

// UnmarkRunning removes the mark, durably. No-op without a mark, or without a
// VPS.
func (s *Store) UnmarkRunning(name vps.Name) error {
	path := s.runningFile(name)
	err := os.Remove(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return hostError("remove", path, err)
	}
	return syncDir(s.VPSDir(name))
}
