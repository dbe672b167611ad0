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

// SetLabel sets a label, or replaces its value.
type SetLabel struct{ Key, Value string }

// Apply sets it.
func (e SetLabel) Apply(v *VPS) error {
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	v.Labels[e.Key] = e.Value
	return nil
}

// Part is "": nothing inside depends on labels.
func (SetLabel) Part() Part { return "" }

func (e SetLabel) String() string { return "label " + e.Key + "=" + e.Value }

// RemoveLabel removes a label. No-op if the VPS does not have it.
type RemoveLabel struct{ Key string }

// Apply removes it.
func (e RemoveLabel) Apply(v *VPS) error {
	delete(v.Labels, e.Key)
	return nil
}

// Part is "".
func (RemoveLabel) Part() Part { return "" }

func (e RemoveLabel) String() string { return "remove label " + e.Key }
