package backup

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

// A Taken says how a snapshot was made.
type Taken struct {
	Created           time.Time  `json:"created"`
	Expires           *time.Time `json:"expires,omitempty"` // when prune may delete it; nil: never
	Description       string     `json:"description,omitempty"`
	PauseMilliseconds int64      `json:"pauseMilliseconds,omitempty"`
}

// Snapshots are the snapshots of the VPS that r restores, with their settings, and without
// their files, their ids and their template. documents are those in the archive, by name.
func (r Restored) Snapshots(documents []Named, c Choice) ([]state.Snapshot, error) {
	var all []state.Snapshot
	for _, one := range documents {
		n, err := r.snapshot(one, c)
		if err != nil {
			return nil, fail.New(fail.KindOf(err), "the snapshot %q: %w", one.Name, err)
		}
		if slices.ContainsFunc(all, func(other state.Snapshot) bool { return other.Name == n.Name }) {
			return nil, fail.New(fail.Usage, "the archive has the snapshot %q twice", n.Name)
		}
		all = append(all, n)
	}
	return all, nil
}

// A Named is the document of a snapshot.
type Named struct {
	Name     string
	Document json.RawMessage
}

func (r Restored) snapshot(one Named, c Choice) (state.Snapshot, error) {
	if err := vps.CheckSnapshot(one.Name); err != nil {
		return state.Snapshot{}, err
	}
	d, _, err := Parse(one.Document)
	if err != nil {
		return state.Snapshot{}, err
	}
	if d.Snapshot != one.Name || d.Taken == nil || d.VPS.Name == "" || d.VPS.Privileged != r.VPS.Privileged {
		return state.Snapshot{}, fail.New(fail.Usage, "the settings in the archive are damaged: they are not those of the snapshot")
	}
	// The VPS may have had other networks then.
	c.Addresses, c.Networks = nil, maps.Clone(c.Networks)
	maps.DeleteFunc(c.Networks, func(old, _ string) bool {
		return !slices.ContainsFunc(d.VPS.Interfaces, func(i vps.Interface) bool { return i.Network == old })
	})
	then, err := d.Restore(c)
	if err != nil {
		return state.Snapshot{}, err
	}
	then.VPS.UUID, then.VPS.Name = r.VPS.UUID, r.VPS.Name
	t := d.Taken
	return state.Snapshot{
		Name: one.Name, Created: t.Created, Expires: t.Expires, Description: t.Description, Running: d.Running,
		PauseMilliseconds: max(t.PauseMilliseconds, 0), NeverStarted: !d.Started, VPS: then.VPS,
	}, nil
}
