package state

import (
	"errors"
	"io/fs"
	"os"

	"croft/internal/fail"
	"croft/internal/vps"
)

// The mark of a VPS that should be running: somebody has started it, and
// nobody has asked it to stop since, from outside or inside. It is about the
// VPS and not about this boot of the host, which it outlives, a power cut too:
// so the next boot knows what to start. It says nothing about whether the VPS
// runs; the life lock does.

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

// MarkRunning marks name, durably. That it is marked already is success. It is
// fail.NotFound if there is no such VPS. Only the holder of the VPS's op lock,
// and a monitor that holds its life lock, may mark and unmark.
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

// UnmarkRunning takes the mark away, durably. That there is none is success,
// and so is that there is no such VPS.
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
