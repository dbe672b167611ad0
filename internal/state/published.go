package state

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"croft/internal/flock"
	"croft/internal/vps"
)

// ClaimPorts calls claim with the published ports of every VPS except name. No
// other process claims ports until it returns, and the next one sees the ports
// that claim writes into a vps.json or a draft. claim must not wait. Its error
// is returned.
func (s *Store) ClaimPorts(ctx context.Context, name vps.Name, claim func(others []vps.VPS) error) error {
	return exclusively(ctx, s.portsFile(), flock.Ports, func() error {
		all, err := s.publishers(true)
		if err != nil {
			return err
		}
		var others []vps.VPS
		for _, p := range all {
			if p.Name != name {
				others = append(others, p)
			}
		}
		return claim(others)
	})
}

// Publishers are the VPSs that have published something, sorted by name. One
// whose settings cannot be read is not among them: it cannot run either.
func (s *Store) Publishers() ([]vps.VPS, error) { return s.publishers(false) }

// publishers looks into drafts too, if they are of interest: those whose maker
// is at work. One that was killed will publish nothing.
func (s *Store) publishers(drafts bool) ([]vps.VPS, error) {
	if s.unused {
		return nil, nil
	}
	dirs, err := os.ReadDir(s.vpsDirs())
	if err != nil {
		return nil, hostError("read", s.vpsDirs(), err)
	}
	var all []vps.VPS
	for _, dir := range dirs {
		draft := strings.HasPrefix(dir.Name(), ".")
		if draft && !drafts {
			continue
		}
		path := filepath.Join(s.vpsDirs(), dir.Name())
		v, ok := publisherIn(filepath.Join(path, vpsFileName))
		if !ok || draft && !isLocked(path) {
			continue
		}
		if !draft {
			if v.Name, err = vps.ParseName(dir.Name()); err != nil {
				continue // not a VPS
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// publisherIn reads a vps.json that publishes something. Most do not, and are
// not parsed.
func publisherIn(path string) (vps.VPS, bool) {
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(data, []byte(`"published"`)) {
		return vps.VPS{}, false
	}
	var v vps.VPS
	if err := decode(data, path, &v); err != nil {
		return vps.VPS{}, false
	}
	return v, len(v.Published) > 0
}

// isLocked reports whether a command holds the lock of the draft in dir.
func isLocked(dir string) bool {
	lock, err := lockDir(dir, flock.Draft)
	if lock != nil {
		lock.Close()
	}
	return err == nil && lock == nil
}
