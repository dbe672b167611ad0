// Package reinstall decides what a VPS keeps when it gets fresh files from a template. It is
// pure.
package reinstall

import (
	"path"
	"slices"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// Paths returns the paths without those below others, sorted. It is fail.Usage for a path
// that is not absolute, and for the root directory.
func Paths(all []string) ([]string, error) {
	var kept []string
	for _, p := range all {
		if err := CheckPath(p); err != nil {
			return nil, err
		}
		kept = append(kept, path.Clean(p))
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)
	return slices.DeleteFunc(slices.Clone(kept), func(p string) bool {
		return slices.ContainsFunc(kept, func(above string) bool { return strings.HasPrefix(p, above+"/") })
	}), nil
}

// CheckPath is fail.Usage for a path that cannot be kept.
func CheckPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fail.New(fail.Usage, "invalid path %q (examples: /home, /etc/ssh)", p)
	case slices.Contains(strings.Split(p, "/"), ".."):
		return fail.New(fail.Usage, "invalid path %q: it has ..", p)
	case path.Clean(p) == "/":
		return fail.New(fail.Usage, "invalid path %q: with all files kept, nothing would be new", p)
	}
	return nil
}

// Settings returns the settings of v with fresh files from the template t. Those of a plain
// tree are in a directory that v does not use yet.
func Settings(v vps.VPS, t vps.Template) vps.VPS {
	v = v.Clone()
	v.Template, v.Frozen, v.Reinstalled = t, nil, true
	if v.Storage == vps.StoragePlain {
		v.Tree = v.OtherTree()
	}
	if v.Fit == vps.Fit("").Cloned(true) { // its former files were those of a VPS that had started
		v.Fit = ""
	}
	return v
}

// Keep is how long croft snapshot prune leaves the snapshot of the former files.
const Keep = 7 * 24 * time.Hour

// SnapshotName returns the name of the snapshot with the former files.
func SnapshotName(now time.Time) string {
	return "before-reinstall-" + now.UTC().Format("20060102-150405")
}
