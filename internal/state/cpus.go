package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"croft/internal/flock"
	"croft/internal/vps"
)

// cpusLock is locked while CPUs are chosen for a VPS.
func (s *Store) cpusLock() string { return filepath.Join(s.locksDir(), "_cpus") }

func (s *Store) cpusFile(name vps.Name) string { return filepath.Join(s.RunDir(name), "cpus") }

// ChooseCPUs calls choose with the CPUs of PutCPUs of all VPSs except name. A VPS that
// has ended can be among them. No other process chooses until it returns, and the next
// one sees what choose has put. choose must not wait. Its error is returned.
func (s *Store) ChooseCPUs(ctx context.Context, name vps.Name, choose func(others map[vps.Name]string) error) error {
	return exclusively(ctx, s.cpusLock(), flock.CPUs, func() error {
		dirs, err := os.ReadDir(filepath.Dir(s.RunDir(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return hostError("read", filepath.Dir(s.RunDir(name)), err)
		}
		others := map[vps.Name]string{}
		for _, dir := range dirs {
			other, err := vps.ParseName(dir.Name())
			if err != nil || other == name {
				continue
			}
			if list := s.CPUs(other); list != "" {
				others[other] = list
			}
		}
		return choose(others)
	})
}

// CPUs returns the list of CPUs that PutCPUs wrote last; "" if there is none, or if the
// file cannot be read.
func (s *Store) CPUs(name vps.Name) string {
	data, err := os.ReadFile(s.cpusFile(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// PutCPUs records the list of CPUs to which a VPS is pinned until its end: "" if it
// may use all. Only the holder of the VPS's lock may call it, and a monitor that
// starts the VPS.
func (s *Store) PutCPUs(name vps.Name, list string) error {
	path := s.cpusFile(name)
	if list != "" {
		if err := os.MkdirAll(s.RunDir(name), 0o700); err != nil {
			return hostError("make directory", s.RunDir(name), err)
		}
		return replaceFile(path, []byte(list+"\n"))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return hostError("remove", path, err)
	}
	return nil
}
