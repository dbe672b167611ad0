package vps

import "reflect"

// StartsAs reports whether a start with the settings of o gives the same running VPS as
// one with those of v.
func (v VPS) StartsAs(o VPS) bool { return reflect.DeepEqual(v.running(), o.running()) }

// running returns v without the settings that a running VPS does not have anything of.
func (v VPS) running() VPS {
	v.OnBoot, v.BootOrder, v.StopAfter, v.Protected = "", 0, 0, false
	v.Restart, v.Labels, v.Description = Restart{}, nil, ""
	return v
}
