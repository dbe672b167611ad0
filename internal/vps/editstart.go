package vps

import (
	"fmt"
	"time"

	"croft/internal/fail"
)

// SetOnBoot sets whether a boot of the host starts the VPS.
type SetOnBoot struct{ OnBoot OnBoot }

// Apply sets it.
func (e SetOnBoot) Apply(v *VPS) error {
	v.OnBoot = e.OnBoot
	return nil
}

// Part is "".
func (SetOnBoot) Part() Part { return "" }

func (e SetOnBoot) String() string { return "onboot " + e.OnBoot.String() }

// SetBootOrder sets the place in the order of starts: a higher one starts first
// and stops last.
type SetBootOrder struct{ Order int }

// Apply sets it.
func (e SetBootOrder) Apply(v *VPS) error {
	v.BootOrder = e.Order
	return nil
}

// Part is "".
func (SetBootOrder) Part() Part { return "" }

func (e SetBootOrder) String() string { return fmt.Sprintf("boot order %d", e.Order) }

// SetStopTimeout sets how long a stop may take before the VPS is killed, in whole
// seconds, rounded up; 0 is the default.
type SetStopTimeout struct{ Timeout time.Duration }

// Apply sets it.
func (e SetStopTimeout) Apply(v *VPS) error {
	if e.Timeout < 0 || e.Timeout > MaxStopTimeout {
		return fail.New(fail.Usage, "invalid stop timeout %s", e.Timeout)
	}
	v.StopAfter = int((e.Timeout + time.Second - 1) / time.Second)
	return nil
}

// Part is "".
func (SetStopTimeout) Part() Part { return "" }

func (e SetStopTimeout) String() string { return "stop timeout " + e.Timeout.String() }

// SetProtected sets whether the VPS is protected: then no command destroys it.
type SetProtected struct{ Protected bool }

// Apply sets it.
func (e SetProtected) Apply(v *VPS) error {
	v.Protected = e.Protected
	return nil
}

// Part is "".
func (SetProtected) Part() Part { return "" }

func (e SetProtected) String() string { return fmt.Sprintf("protected %t", e.Protected) }

// FinishRename completes a rename: the former name is forgotten, and a host name
// that was the former name becomes the new one.
type FinishRename struct{}

// Apply completes it; no-op if no rename is pending.
func (FinishRename) Apply(v *VPS) error {
	if v.RenamedFrom != "" && v.Hostname == string(v.RenamedFrom) {
		v.Hostname = string(v.Name)
	}
	v.RenamedFrom = ""
	return nil
}

// Part is "": only a stopped VPS can be renamed.
func (FinishRename) Part() Part { return "" }

func (FinishRename) String() string { return "finish rename" }
