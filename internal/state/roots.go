package state

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/vps"
)

// HostDir is where the roots of one host know of each other. User ids and
// cgroups belong to the host, so two roots must not choose the same ones.
const HostDir = "/run/croft-roots"

// rootSuffix ends the name of a root's file in the host's directory.
const rootSuffix = ".json"

// A sharer is one root in the host's directory: the content of its file.
type sharer struct {
	Root string `json:"root"`
	Run  string `json:"run"`
}

// Share makes s one of the roots in dir, which exists afterwards. From then on
// ids are chosen with one lock for all of them. Twice is a no-op.
func (s *Store) Share(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return hostError("make directory", dir, err)
	}
	s.hostDir = dir
	return nil
}

// register enters s in the host's directory. It is called before a VPS gets
// anything that belongs to the host, so a root without VPSs has no entry.
func (s *Store) register() error {
	if s.hostDir == "" {
		return nil
	}
	data, err := json.Marshal(sharer{Root: s.Root, Run: s.RunRoot})
	if err != nil {
		return fail.New(fail.Internal, "register root %s: %w", s.Root, err)
	}
	path := filepath.Join(s.hostDir, fmt.Sprintf("%x", sha256.Sum256([]byte(s.Root)))[:16]+rootSuffix)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data)+"\n" {
		return nil
	}
	return replaceFile(path, append(data, '\n'))
}

// others returns the host's other roots. One that is gone is left out, as is
// one directory by another name. A file that cannot be read is fail.State: it
// may name a root whose ids would be given away.
func (s *Store) others() ([]*Store, error) {
	if s.hostDir == "" {
		return nil, nil
	}
	names, err := readNames(s.hostDir)
	if err != nil {
		return nil, err
	}
	own, err := os.Stat(s.Root)
	if err != nil {
		return nil, hostError("look at", s.Root, err)
	}
	var all []*Store
	for _, name := range names {
		if !strings.HasSuffix(name, rootSuffix) {
			continue
		}
		path := filepath.Join(s.hostDir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, hostError("read", path, err)
		}
		var o sharer
		if err := json.Unmarshal(data, &o); err != nil || !filepath.IsAbs(o.Root) || !filepath.IsAbs(o.Run) {
			return nil, fail.New(fail.State, "cannot find croft's other roots: %s is corrupt", path).WithHint("rm %s", path)
		}
		other := &Store{Root: o.Root, RunRoot: o.Run, boot: s.boot}
		info, err := os.Stat(o.Root)
		_, dirs := os.Stat(other.vpsDirs())
		switch {
		case err == nil && os.SameFile(info, own):
		case err == nil && dirs == nil:
			all = append(all, other)
		case errors.Is(err, fs.ErrNotExist) || errors.Is(dirs, fs.ErrNotExist):
			_ = os.Remove(path) // so that the directory does not grow
		default:
			return nil, hostError("look at", o.Root, errors.Join(err, dirs))
		}
	}
	return all, nil
}

// Apart refuses with fail.Taken what would give name something that a VPS of
// another root has: its name, since cgroups are named by it, or, while that
// VPS runs, one of ids. A zero range overlaps none. s is registered afterwards.
func (s *Store) Apart(ctx context.Context, name vps.Name, ids vps.IDRange) error {
	if s.hostDir == "" {
		return nil
	}
	return exclusively(ctx, s.poolFile(), flock.IDs, func() error {
		if err := s.register(); err != nil {
			return err
		}
		others, err := s.others()
		if err != nil {
			return err
		}
		for _, o := range others {
			if err := o.lends(name, ids); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) lends(name vps.Name, ids vps.IDRange) error {
	if _, err := os.Lstat(s.VPSDir(name)); err == nil {
		return fail.New(fail.Taken, "another root of croft, %s, has a VPS named %q, and names are the host's", s.Root, name).
			WithHint("croft --root /%s --run-dir /%s list", strings.TrimPrefix(s.Root, "/"), strings.TrimPrefix(s.RunRoot, "/"))
	}
	if ids.Size == 0 {
		return nil
	}
	entries, err := s.All()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Err != nil || !e.VPS.IDs.Overlaps(ids) {
			continue
		}
		if held, err := s.LifeHeld(e.Name); err != nil || held {
			return fail.New(fail.Taken, "%s of another root of croft, %s, runs with user ids of %s", e.Name, s.Root, name).
				WithHint("croft --root /%s --run-dir /%s list", strings.TrimPrefix(s.Root, "/"), strings.TrimPrefix(s.RunRoot, "/"))
		}
	}
	return nil
}
