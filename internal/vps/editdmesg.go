package vps

// SetDmesg sets whether the VPS has kernel messages of its own. It takes effect at the
// next start.
type SetDmesg struct{ On bool }

// Apply sets it.
func (e SetDmesg) Apply(v *VPS) error {
	v.NoDmesg = !e.On
	return nil
}

// Part is "".
func (SetDmesg) Part() Part { return "" }

func (e SetDmesg) String() string {
	if e.On {
		return "dmesg on"
	}
	return "dmesg off"
}
