package state

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A Snapshot is the content of snapshots/NAME.json in the directory of a VPS: the
// settings and the layers that the VPS had.
type Snapshot struct {
	Schema      int        `json:"schema"`
	Name        string     `json:"name"`
	Created     time.Time  `json:"created"`
	Expires     *time.Time `json:"expires,omitempty"` // when prune may delete it; nil: never
	Description string     `json:"description,omitempty"`
	// Running is whether the VPS ran. Then its files were copied, and it stood still
	// for PauseMilliseconds.
	Running           bool  `json:"running,omitempty"`
	PauseMilliseconds int64 `json:"pauseMilliseconds,omitempty"`
	// NeverStarted is whether the VPS had never been started: its files were not fitted.
	NeverStarted bool    `json:"neverStarted,omitempty"`
	VPS          vps.VPS `json:"vps"`

	Err error `json:"-"` // why its file cannot be read
}

// snapshotFile is the file of the snapshot name of the VPS in dir.
func snapshotFile(dir, name string) string {
	return filepath.Join(snapshotsDir(dir), name+jsonSuffix)
}

// Snapshots returns the snapshots of the VPS, the oldest first; those of the same second by
// their names. One that cannot be read
// is there too, with its error.
func (s *Store) Snapshots(name vps.Name) ([]Snapshot, error) { return snapshotsIn(s.VPSDir(name)) }

// snapshotsIn is Snapshots for the VPS in dir.
func snapshotsIn(dir string) ([]Snapshot, error) {
	if !exists(snapshotsDir(dir)) {
		return nil, nil
	}
	files, err := readNames(snapshotsDir(dir))
	if err != nil {
		return nil, err
	}
	var all []Snapshot
	for _, file := range files {
		name, ok := strings.CutSuffix(file, jsonSuffix)
		if !ok || vps.CheckSnapshot(name) != nil {
			continue
		}
		if n, err := readSnapshot(dir, name); err == nil {
			all = append(all, n)
		} else if !fail.Is(err, fail.NotFound) {
			all = append(all, Snapshot{Name: name, Err: err})
		}
	}
	slices.SortFunc(all, func(a, b Snapshot) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// Snapshot returns the snapshot of the VPS; fail.NotFound if there is none.
func (s *Store) Snapshot(name vps.Name, snapshot string) (Snapshot, error) {
	if err := vps.CheckSnapshot(snapshot); err != nil {
		return Snapshot{}, err
	}
	n, err := readSnapshot(s.VPSDir(name), snapshot)
	if fail.Is(err, fail.NotFound) {
		return n, fail.New(fail.NotFound, "%s has no snapshot named %q", name, snapshot).WithHint("croft snapshot list %s", name)
	}
	return n, err
}

func readSnapshot(dir, name string) (Snapshot, error) {
	path := snapshotFile(dir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, fail.New(fail.NotFound, "no snapshot named %q", name)
	}
	if err != nil {
		return Snapshot{}, hostError("read", path, err)
	}
	var n Snapshot
	if err := decode(data, path, &n); err != nil {
		return Snapshot{}, err
	}
	n.Name = name
	return n, nil
}

// PutSnapshot creates or replaces a snapshot of the locked VPS, atomically and durably.
func (l *Locked) PutSnapshot(n Snapshot) error { return writeSnapshot(l.store.VPSDir(l.name), n) }

// PutSnapshot creates a snapshot of the VPS that the draft will be, durably.
func (d *Draft) PutSnapshot(n Snapshot) error { return writeSnapshot(d.Dir, n) }

func writeSnapshot(dir string, n Snapshot) error {
	if err := makeDir(snapshotsDir(dir), private, private); err != nil {
		return err
	}
	n.Schema = Schema
	path := snapshotFile(dir, n.Name)
	data, err := encode(n, nil)
	if err != nil {
		return fail.New(fail.Internal, "encode %s: %w", path, err)
	}
	return replaceFile(path, data)
}

// RemoveSnapshot removes a snapshot of the locked VPS, durably. Its layers are removed
// by RemoveUnused. No-op if there is none.
func (l *Locked) RemoveSnapshot(name string) error {
	if err := l.store.MarkUnused(); err != nil {
		return err
	}
	path := snapshotFile(l.store.VPSDir(l.name), name)
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return hostError("remove", path, err)
	}
	return syncDir(filepath.Dir(path))
}
