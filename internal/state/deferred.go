package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"croft/internal/vps"
)

func (s *Store) deferredFile(name vps.Name) string { return filepath.Join(s.RunDir(name), "deferred") }

// Deferred returns the options whose saved values a running VPS gets at its next
// start, because a command said so. None if the file cannot be read: it only
// informs.
func (s *Store) Deferred(name vps.Name) []string {
	data, err := os.ReadFile(s.deferredFile(name))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}

// PutDeferred replaces the options of Deferred. Only the holder of the VPS's lock
// may call it, and a monitor that starts the VPS.
func (s *Store) PutDeferred(name vps.Name, options []string) error {
	path := s.deferredFile(name)
	if len(options) > 0 {
		return replaceFile(path, []byte(strings.Join(options, "\n")+"\n"))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return hostError("remove", path, err)
	}
	return nil
}
