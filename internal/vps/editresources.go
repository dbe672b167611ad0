package vps

import (
	"fmt"
	"slices"
)

// SetMemoryLow sets the amount of memory in bytes that the kernel leaves to the VPS
// as long as others have some to give: 0 for none.
type SetMemoryLow struct{ Bytes int64 }

// Apply sets it.
func (e SetMemoryLow) Apply(v *VPS) error {
	v.Limits.MemoryLow = e.Bytes
	return nil
}

// Part is the limits.
func (SetMemoryLow) Part() Part { return PartLimits }

func (e SetMemoryLow) String() string { return fmt.Sprintf("memory-low %d", e.Bytes) }

// SetCPUWeight sets the share of CPU time when CPUs are busy: 0 for the default.
type SetCPUWeight struct{ Weight int64 }

// Apply sets it.
func (e SetCPUWeight) Apply(v *VPS) error {
	v.Limits.CPUWeight = e.Weight
	return nil
}

// Part is the limits.
func (SetCPUWeight) Part() Part { return PartLimits }

func (e SetCPUWeight) String() string { return fmt.Sprintf("cpu-weight %d", e.Weight) }

// SetCPUSet sets the CPUs that the VPS may use, as Limits.CPUSet has them.
type SetCPUSet struct{ List string }

// Apply sets it.
func (e SetCPUSet) Apply(v *VPS) error {
	v.Limits.CPUSet = e.List
	return nil
}

// Part is the limits.
func (SetCPUSet) Part() Part { return PartLimits }

func (e SetCPUSet) String() string { return "cpuset " + e.List }

// SetIOWeight sets the share of a busy disk: 0 for the default.
type SetIOWeight struct{ Weight int64 }

// Apply sets it.
func (e SetIOWeight) Apply(v *VPS) error {
	v.Limits.IOWeight = e.Weight
	return nil
}

// Part is the limits.
func (SetIOWeight) Part() Part { return PartLimits }

func (e SetIOWeight) String() string { return fmt.Sprintf("io-weight %d", e.Weight) }

// SetIO sets all limits of what a VPS reads from disks, or with Write of what it
// writes to them. No limits is unlimited.
type SetIO struct {
	Write  bool
	Limits []IOLimit
}

// Apply sets them.
func (e SetIO) Apply(v *VPS) error {
	if e.Write {
		v.Limits.IOWrite = slices.Clone(e.Limits)
	} else {
		v.Limits.IORead = slices.Clone(e.Limits)
	}
	return nil
}

// Part is the limits.
func (SetIO) Part() Part { return PartLimits }

func (e SetIO) String() string {
	option := "io-read"
	if e.Write {
		option = "io-write"
	}
	if len(e.Limits) == 0 {
		return option + " unlimited"
	}
	return option + " " + texts(e.Limits)
}
