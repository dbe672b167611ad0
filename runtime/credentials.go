package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/paths"
)

// putCredentials writes the values of the credentials of v that were set, in the
// directory dir of v. undo removes them. Those that v had before stay.
func putCredentials(dir string, v vps.VPS, set []vps.SetCredential) (undo func() error, err error) {
	dir = paths.Credentials(dir)
	var written []string
	undo = func() error {
		var failed error
		for _, file := range written {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = errors.Join(failed, err)
			}
		}
		return failed
	}
	for _, c := range set {
		if !slices.Contains(v.Credentials, c.Credential) {
			continue // a later edit has removed it
		}
		written = append(written, filepath.Join(dir, c.File()))
		if err := state.PutSecret(dir, c.File(), c.Value); err != nil {
			return undo, err
		}
	}
	return undo, nil
}

// forgetCredentials removes the values that no credential of v has any more.
func (m *Manager) forgetCredentials(v vps.VPS) {
	dir := paths.Credentials(m.store.VPSDir(v.Name))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, e := range entries {
		if slices.ContainsFunc(v.Credentials, func(c vps.Credential) bool { return c.File() == e.Name() }) {
			continue
		}
		err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
	}
	if err != nil {
		m.warn(fmt.Sprintf("%s: cannot remove a former credential: %v", v.Name, err))
	}
}

// giveCredentials makes the directory with the credentials of v that init gets.
func (mon *monitor) giveCredentials(v vps.VPS) error {
	if len(v.Credentials) == 0 {
		return nil
	}
	files, err := mon.readCredentials(v)
	if errors.Is(err, fs.ErrNotExist) { // a set may have replaced them since v was read
		now, e := mon.store.Get(v.Name)
		if e != nil {
			return e
		}
		files, err = mon.readCredentials(now)
	}
	if err != nil {
		return err
	}
	return mon.guests.GiveCredentials(paths.Credentials(paths.GivenDir(mon.store, v.Name)), v.IDs.First, files)
}

// readCredentials returns the values of the credentials of v by their names.
func (m *Manager) readCredentials(v vps.VPS) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, c := range v.Credentials {
		value, err := os.ReadFile(filepath.Join(paths.Credentials(m.store.VPSDir(v.Name)), c.File()))
		if err != nil {
			return nil, fail.New(fail.Host, "cannot read the credential %s: %w", c.Name, err).WithHint("croft set %s --credential -%s", v.Name, c.Name)
		}
		files[c.Name] = value
	}
	return files, nil
}
