package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"croft/internal/vps"
)

// Ephemeral VPSs are listed in a directory of their own, as empty files, so
// that the few that killed runners left are found without reading all VPSs. The
// list may name VPSs that do not exist or are not ephemeral; vps.json decides.
// Only the holder of the lock of a VPS changes its entry.

func (s *Store) ephemeralDir() string { return filepath.Join(s.Root, "ephemeral") }

// HostBoot is the boot id of the host.
func (s *Store) HostBoot() string { return s.boot }

// ListEphemeral adds the locked VPS to the list. It is a no-op if it is there.
func (l *Locked) ListEphemeral() error {
	file := filepath.Join(l.store.ephemeralDir(), string(l.name))
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return hostError("write", file, err)
	}
	return nil
}

// UnlistEphemeral takes the locked VPS off the list. It is a no-op if it is not
// there.
func (l *Locked) UnlistEphemeral() error {
	file := filepath.Join(l.store.ephemeralDir(), string(l.name))
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return hostError("remove", file, err)
	}
	return nil
}

// Ephemerals returns the names on the list.
func (s *Store) Ephemerals() ([]vps.Name, error) {
	entries, err := os.ReadDir(s.ephemeralDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, hostError("read", s.ephemeralDir(), err)
	}
	var names []vps.Name
	for _, e := range entries {
		if name, err := vps.ParseName(e.Name()); err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}
