package vps

import (
	"fmt"
	"slices"
)

// A Limit is a limit that is one number, by the option that sets it.
type Limit string

// The limits that are one number. The fields of Limits say what the numbers mean.
const (
	LimitMemory    Limit = "memory"
	LimitSwap      Limit = "swap"
	LimitCPUs      Limit = "cpus"
	LimitPIDs      Limit = "pids"
	LimitMemoryLow Limit = "memory-low"
	LimitCPUWeight Limit = "cpu-weight"
	LimitIOWeight  Limit = "io-weight"
)

// Of returns the field of all that has the limit.
func (l Limit) Of(all *Limits) *int64 {
	return map[Limit]*int64{
		LimitMemory: &all.Memory, LimitSwap: &all.Swap, LimitCPUs: &all.MilliCPUs, LimitPIDs: &all.PIDs,
		LimitMemoryLow: &all.MemoryLow, LimitCPUWeight: &all.CPUWeight, LimitIOWeight: &all.IOWeight,
	}[l]
}

// Set returns the edit that sets the limit to a value.
func (l Limit) Set(value int64) Edit { return setLimit{l, value} }

type setLimit struct {
	limit Limit
	value int64
}

func (e setLimit) Apply(v *VPS) error {
	*e.limit.Of(&v.Limits) = e.value
	return nil
}

func (setLimit) Part() Part { return PartLimits }

func (e setLimit) String() string {
	if e.limit == LimitCPUs {
		return fmt.Sprintf("%s %d/1000", e.limit, e.value)
	}
	return fmt.Sprintf("%s %d", e.limit, e.value)
}

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
