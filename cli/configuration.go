package cli

import (
	"cmp"
	"croft/cli/settings"
	"croft/internal/fail"
	"croft/runtime"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// configDir is the directory of the configuration.
func (i *invocation) configDir() string { return cmp.Or(i.place.Config, runtime.DefaultConfig) }

// config reads croft.yaml; a missing file is empty.
func (i *invocation) config() (settings.Config, error) {
	path := filepath.Join(i.configDir(), "croft.yaml")
	text, err := trusted(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return settings.Config{}, err
	}
	return settings.ParseConfig(path, text, trashKey, limitsKey)
}

// trusted reads a file of the configuration. It must belong to root or to the user of
// croft, and no other user may write it: it can make a VPS privileged.
func trusted(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if info.Mode().Perm()&0o022 != 0 || owner != 0 && int(owner) != os.Geteuid() {
		return nil, fail.New(fail.Host, "%s: other users can change it", path).WithHint("ls -l %s", path)
	}
	text := make([]byte, info.Size())
	n, err := f.ReadAt(text, 0)
	if n < len(text) {
		return nil, err
	}
	return text, nil
}

// trashKey is the key of croft.yaml for the default of --keep.
const trashKey = "trash"
