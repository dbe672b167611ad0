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

// Mergeable returns the pairs of layers of the VPS that only it and its snapshots have, and
// always together, the topmost first.
func Mergeable(all []state.Stack, v vps.VPS) (pairs []Merge) {
	for i, lower := range v.Frozen {
		if i == 0 && v.Disk.Image != "" {
			continue // its own files are in another file system
		}
		ids, upper := v.IDs, ""
		if i > 0 {
			ids, upper = v.Frozen[i-1].IDs, v.Frozen[i-1].ID
		}
		if ids == lower.IDs && alwaysBelow(all, v.Name, upper, lower.ID) {
			pairs = append(pairs, Merge{Upper: upper, Lower: lower.ID})
		}
	}
	return pairs
}

// Layers that a registry has are merged late, because the next push sends the result
// again. Until then files that a newer layer replaces take space. So a layer is merged with
// the one below if it has at least half its size, unless that is small; and if there are
// many layers.
const (
	manyLayers = 16
	smallLayer = 16 << 20
)

// Choose returns one of pairs to merge, of a VPS with that many layers; found is false
// without one. pushed returns the size of a layer that was pushed to a registry, and 0 for
// others.
func Choose(pairs []Merge, layers int, pushed func(id string) int64) (best Merge, found bool) {
	var least int64
	for _, m := range pairs {
		lower, upper := pushed(m.Lower), int64(0)
		if m.Upper != "" {
			upper = pushed(m.Upper)
		}
		if lower+upper == 0 {
			return m, true
		}
		similar := lower >= smallLayer && 2*upper >= lower
		if (layers > manyLayers || similar) && (!found || lower+upper < least) {
			best, found, least = m, true, lower+upper
		}
	}
	return best, found
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
