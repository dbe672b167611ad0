package command

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"croft/cli/settings"
	"croft/internal/fail"
	"croft/runtime"
)

// ConfigDir is the directory of the configuration.
func (i *Invocation) ConfigDir() string { return cmp.Or(i.Place.Config, runtime.DefaultConfig) }

// Cookbook returns the recipes of the configuration, and croft's.
func (i *Invocation) Cookbook() Cookbook { return i.Recipes(i.Place.Config) }

// Config reads croft.yaml; a missing file is empty.
func (i *Invocation) Config() (settings.Config, error) {
	path := filepath.Join(i.ConfigDir(), "croft.yaml")
	text, err := Trusted(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return settings.Config{}, err
	}
	return settings.ParseConfig(path, text, TrashKey, limitsKey)
}

// Trusted reads a file of the configuration. It must belong to root or to the user of
// croft, and no other user may write it: it can make a VPS privileged.
func Trusted(path string) ([]byte, error) {
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

// TrashKey is the key of croft.yaml for the default of --keep.
const TrashKey = "trash"
