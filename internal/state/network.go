package state

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/vps"
)

// A NetworkTable is the content of the two files of a network, which the
// network package reads and writes. This package handles bytes: it makes sure
// that one process at a time changes them, durably.
type NetworkTable struct {
	Settings []byte // NAME.json; nil if the network does not exist
	Claims   []byte // NAME.claims; nil if that is missing
}

// A NetworkChange is what becomes of a network's files. What is nil stays.
type NetworkChange struct {
	Settings []byte // the new settings
	Claims   []byte // the new claims
	Append   []byte // comes at the end of the claims
}

// Network returns the table of the network, an empty one without an error if
// the network does not exist. Both files belong to the same network, also while
// another process removes it and creates it again.
func (s *Store) Network(name string) (NetworkTable, error) {
	if _, err := vps.ParseName(name); err != nil {
		return NetworkTable{}, err
	}
	for {
		t, again, err := s.readNetwork(name)
		if !again {
			return t, err
		}
	}
}

// readNetwork reads both files. again is true if the settings were replaced or
// removed meanwhile, which happens at most a few times in the life of a network.
func (s *Store) readNetwork(name string) (t NetworkTable, again bool, err error) {
	path := s.NetworkFile(name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NetworkTable{}, false, nil
	}
	if err != nil {
		return NetworkTable{}, false, hostError("open", path, err)
	}
	defer f.Close() // at the end: so that no other file has its inode meanwhile
	if t.Settings, err = io.ReadAll(f); err != nil {
		return NetworkTable{}, false, hostError("read", path, err)
	}
	claims := s.ClaimsFile(name)
	t.Claims, err = os.ReadFile(claims)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return NetworkTable{}, false, hostError("read", claims, err)
	}
	was, err := f.Stat()
	if err != nil {
		return NetworkTable{}, false, hostError("look at", path, err)
	}
	is, err := os.Stat(path)
	return t, err != nil || !os.SameFile(was, is), nil
}

// Networks returns the names of the networks that have a table, sorted.
func (s *Store) Networks() ([]string, error) {
	if s.unused {
		return nil, nil
	}
	files, err := readNames(s.networksDir())
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, file := range files {
		name, ok := strings.CutSuffix(file, jsonSuffix)
		if _, err := vps.ParseName(name); ok && err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// withNetwork calls do with the table of the network, with its lock held.
func (s *Store) withNetwork(ctx context.Context, name string, do func(old NetworkTable) error) error {
	if _, err := vps.ParseName(name); err != nil {
		return err
	}
	return exclusively(ctx, s.networkLock(name), flock.NetworkTable, func() error {
		old, err := s.Network(name)
		if err != nil {
			return err
		}
		return do(old)
	})
}

// UpdateNetwork passes the table of the network (an empty one if it does not
// exist) to change and writes the result durably, with the network's lock held:
// no other process changes it in between. An error of change is returned, and
// nothing is written. change must not wait.
//
// New settings and new claims are each written atomically, the claims first.
// Appended claims may be there in part if this process is killed or the machine
// loses its power: their format has to show that.
func (s *Store) UpdateNetwork(ctx context.Context, name string, change func(old NetworkTable) (NetworkChange, error)) error {
	return s.withNetwork(ctx, name, func(old NetworkTable) error {
		c, err := change(old)
		if err != nil {
			return err
		}
		if c.Settings != nil && !json.Valid(c.Settings) {
			return fail.New(fail.Internal, "the new settings of network %s are not valid JSON", name)
		}
		if c.Claims != nil {
			if err := replaceFile(s.ClaimsFile(name), c.Claims); err != nil {
				return err
			}
		}
		if c.Settings != nil {
			if err := replaceFile(s.NetworkFile(name), c.Settings); err != nil {
				return err
			}
		}
		if c.Append != nil {
			return appendFile(s.ClaimsFile(name), c.Append)
		}
		return nil
	})
}

// RemoveNetwork passes the table of the network (an empty one if it does not
// exist) to release and removes it, with the network's lock held: no other
// process changes it in between. With aside the files are kept beside their
// places, for the administrator. An error of release leaves the table, and is
// returned.
func (s *Store) RemoveNetwork(ctx context.Context, name string, release func(old NetworkTable) (aside bool, err error)) error {
	return s.withNetwork(ctx, name, func(old NetworkTable) error {
		aside, err := release(old)
		if err != nil {
			return err
		}
		// The settings first: claims without settings are not a network, and
		// the next network of that name replaces them.
		for _, path := range []string{s.NetworkFile(name), s.ClaimsFile(name)} {
			if aside {
				err = os.Rename(path, path+".broken")
			} else {
				err = os.Remove(path)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return hostError("remove", path, err)
			}
		}
		return syncDir(s.networksDir())
	})
}
