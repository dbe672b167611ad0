package layer

import "croft/internal/identity"

// A treatment says how a template for many VPSs treats a file that may identify
// one VPS.
type treatment int

const (
	shared  treatment = iota // does not identify a VPS: kept
	emptied                  // kept without content
	removed                  // left out: the program that owns it creates a missing one
)

// treatmentOf returns how the file name, relative to the root, is treated.
func treatmentOf(name string) treatment {
	switch {
	case name == identity.MachineID: // systemd writes an empty one at boot (machine-id(5))
		return emptied
	case identity.Removed(name):
		return removed
	}
	return shared
}
