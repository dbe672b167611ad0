package vps

import (
	"slices"

	"croft/internal/fail"
)

// AddMount adds a mount. The same one again is a no-op. Another mount on the same
// target is fail.Taken.
type AddMount struct{ Mount Mount }

// Apply adds it.
func (e AddMount) Apply(v *VPS) error {
	at := v.MountAt(e.Mount.Target)
	switch {
	case at < 0:
		v.Mounts = append(slices.Clone(v.Mounts), e.Mount)
	case v.Mounts[at] != e.Mount:
		return fail.New(fail.Taken, "mount %s: %s has %s there", e.Mount, v.Name, v.Mounts[at]).
			WithHint("croft inspect %s", v.Name)
	}
	return nil
}

// Part is the mounts.
func (AddMount) Part() Part { return PartMounts }

func (e AddMount) String() string { return "mount " + e.Mount.String() }

// RemoveMount removes the mount on Target. It is fail.NotFound if there is none.
type RemoveMount struct{ Target string }

// Apply removes it.
func (e RemoveMount) Apply(v *VPS) error {
	at := v.MountAt(e.Target)
	if at < 0 {
		return fail.New(fail.NotFound, "%s has no mount on %s", v.Name, e.Target).WithHint("croft inspect %s", v.Name)
	}
	v.Mounts = slices.Delete(slices.Clone(v.Mounts), at, at+1)
	return nil
}

// Part is the mounts.
func (RemoveMount) Part() Part { return PartMounts }

func (e RemoveMount) String() string { return "remove mount on " + e.Target }
