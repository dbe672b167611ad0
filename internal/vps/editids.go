package vps

import (
	"fmt"

	"croft/internal/fail"
)

// IDUnit divides every number of ids.
const IDUnit = 1 << 16

// SetIDSize sets how many user and group ids the VPS has. Its first id stays, because
// its files have the ids of the host as their owners. A VPS that runs keeps its number
// until its next start.
type SetIDSize struct{ Size uint32 }

// Apply sets the number. A privileged VPS is fail.Usage: it has no ids of its own.
func (e SetIDSize) Apply(v *VPS) error {
	if v.Privileged {
		return fail.New(fail.Usage, "a privileged VPS has no ids of its own")
	}
	if e.Size == 0 || e.Size%IDUnit != 0 {
		return fail.New(fail.Usage, "invalid number of ids %d: it is not a multiple of %d", e.Size, IDUnit)
	}
	v.IDs.Size = e.Size
	return nil
}

// Part is "".
func (SetIDSize) Part() Part { return "" }

func (e SetIDSize) String() string { return fmt.Sprintf("id size %d", e.Size) }

// SetPrivileged is accepted only if it changes nothing: the files of a VPS have the
// owners that fit the one or the other.
type SetPrivileged struct{ Privileged bool }

// Apply is fail.State if the VPS is not what is asked for.
func (e SetPrivileged) Apply(v *VPS) error {
	if v.Privileged == e.Privileged {
		return nil
	}
	what, files := "unprivileged", "those of the host"
	if e.Privileged {
		what, files = "privileged", "its own"
	}
	return fail.New(fail.State, "%s cannot become %s: its files have user ids that are %s; make a template of it, and a new VPS of that", v.Name, what, files).
		WithHint("croft help template create")
}

// Part is "".
func (SetPrivileged) Part() Part { return "" }

func (e SetPrivileged) String() string { return fmt.Sprintf("privileged %t", e.Privileged) }
