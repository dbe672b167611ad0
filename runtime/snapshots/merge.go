package snapshots

import (
	"slices"

	"croft/internal/state"
	"croft/internal/vps"
)

// A Merge is two layers of a VPS that can become one: Lower, and what is directly above
// it in every stack that has it.
type Merge struct {
	Upper string // the id of a layer; "": the own files of the VPS
	Lower string
}

// Mergeable returns two layers of the VPS that only it and its snapshots have, and always
// together. found is false if there are none.
func Mergeable(all []state.Stack, v vps.VPS) (m Merge, found bool) {
	for i, lower := range v.Frozen {
		if i == 0 && v.Disk.Image != "" {
			continue // its own files are in another file system
		}
		ids, upper := v.IDs, ""
		if i > 0 {
			ids, upper = v.Frozen[i-1].IDs, v.Frozen[i-1].ID
		}
		if ids == lower.IDs && alwaysBelow(all, v.Name, upper, lower.ID) {
			return Merge{Upper: upper, Lower: lower.ID}, true
		}
	}
	return Merge{}, false
}

// alwaysBelow reports whether all stacks with the layer lower are of the VPS name, and
// have upper directly above it.
func alwaysBelow(all []state.Stack, name vps.Name, upper, lower string) bool {
	for _, s := range all {
		at := slices.IndexFunc(s.Frozen, func(f vps.Frozen) bool { return f.ID == lower })
		switch {
		case at < 0:
			continue
		case s.VPS != name || s.Trashed != "" || s.Draft:
			return false
		case at == 0 && (upper != "" || s.Snapshot != ""): // the own files of a snapshot are none
			return false
		case at > 0 && s.Frozen[at-1].ID != upper:
			return false
		}
	}
	return true
}

// Without returns the layers without one of them.
func Without(all []vps.Frozen, id string) []vps.Frozen {
	return slices.DeleteFunc(slices.Clone(all), func(f vps.Frozen) bool { return f.ID == id })
}
