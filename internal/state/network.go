package state

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"croft/internal/fail"
)

// A network's table is JSON that the network package reads and writes. Here it
// is bytes: this package only sees to it that they are replaced whole and by
// one at a time.

// Network returns the table of the network; nil without an error if there is none.
func (s *Store) Network(name string) ([]byte, error) {
	if _, err := ParseName(name); err != nil {
		return nil, err
	}
	path := s.NetworkFile(name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, hostError("read", path, err)
	}
	return data, nil
}

// Networks returns the names of the networks that have a table, sorted.
func (s *Store) Networks() ([]string, error) {
	files, err := readNames(s.networksDir())
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, file := range files {
		name, ok := strings.CutSuffix(file, jsonSuffix)
		if _, err := ParseName(name); ok && err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// UpdateNetwork hands the table of the network (nil if there is none) to
// change and makes what it returns the table, atomically and durably, with the
// network's lock held: nobody else changes it in between. A nil from change
// leaves the table, an error too, and is returned. change must not wait.
func (s *Store) UpdateNetwork(ctx context.Context, name string, change func(old []byte) ([]byte, error)) error {
	if _, err := ParseName(name); err != nil {
		return err
	}
	return exclusively(ctx, s.networkLock(name), func() error {
		old, err := s.Network(name)
		if err != nil {
			return err
		}
		table, err := change(old)
		if err != nil || table == nil {
			return err
		}
		if !json.Valid(table) {
			return fail.New(fail.Internal, "the new table of network %s is no JSON", name)
		}
		return replaceFile(s.NetworkFile(name), table)
	})
}

// RemoveNetwork hands the table of the network (nil if there is none) to
// release and removes it, with the network's lock held: no other process changes it in
// between. aside keeps its content beside it, for a person. An error from
// release leaves the table, and is returned.
func (s *Store) RemoveNetwork(ctx context.Context, name string, release func(old []byte) (aside bool, err error)) error {
	if _, err := ParseName(name); err != nil {
		return err
	}
	return exclusively(ctx, s.networkLock(name), func() error {
		old, err := s.Network(name)
		if err != nil {
			return err
		}
		aside, err := release(old)
		if err != nil {
			return err
		}
		path := s.NetworkFile(name)
		if aside {
			err = os.Rename(path, path+".broken")
		} else {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return hostError("remove", path, err)
		}
		return syncDir(s.networksDir())
	})
}
