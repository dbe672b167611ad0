package vps

import "fmt"

// SetMemory sets the limit of memory in bytes: -1 for unlimited, 0 for the
// default.
type SetMemory struct{ Bytes int64 }

// Apply sets it.
func (e SetMemory) Apply(v *VPS) error {
	v.Limits.Memory = e.Bytes
	return nil
}

// Part is the limits.
func (SetMemory) Part() Part { return PartLimits }

func (e SetMemory) String() string { return fmt.Sprintf("memory %d", e.Bytes) }

// SetSwap sets the limit of swap in bytes, without memory: 0 for unlimited, -1
// for no swap.
type SetSwap struct{ Bytes int64 }

// Apply sets it.
func (e SetSwap) Apply(v *VPS) error {
	v.Limits.Swap = e.Bytes
	return nil
}

// Part is the limits.
func (SetSwap) Part() Part { return PartLimits }

func (e SetSwap) String() string { return fmt.Sprintf("swap %d", e.Bytes) }

// SetCPUs sets the limit of CPU time in thousandths of a CPU: 0 for unlimited.
type SetCPUs struct{ Milli int64 }

// Apply sets it.
func (e SetCPUs) Apply(v *VPS) error {
	v.Limits.MilliCPUs = e.Milli
	return nil
}

// Part is the limits.
func (SetCPUs) Part() Part { return PartLimits }

func (e SetCPUs) String() string { return fmt.Sprintf("cpus %d/1000", e.Milli) }

// SetPIDs sets the limit of processes and threads: -1 for unlimited, 0 for the
// default.
type SetPIDs struct{ Number int64 }

// Apply sets it.
func (e SetPIDs) Apply(v *VPS) error {
	v.Limits.PIDs = e.Number
	return nil
}

// Part is the limits.
func (SetPIDs) Part() Part { return PartLimits }

func (e SetPIDs) String() string { return fmt.Sprintf("pids %d", e.Number) }
