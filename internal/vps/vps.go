// Package vps defines the settings of a VPS: their types, which values are valid,
// how they are written, and the edits that change them. It is pure: it knows
// neither the machine nor files.
package vps

import (
	"math"
	"time"

	"croft/internal/fail"
)

// A VPS is the settings of one VPS, the content of its vps.json. Its addresses
// are not in that file: the tables of the networks own them.
type VPS struct {
	Schema     int               `json:"schema"`
	Name       Name              `json:"name"`
	UUID       string            `json:"uuid"`
	Created    time.Time         `json:"created"`
	Template   Template          `json:"template"`
	Frozen     []Frozen          `json:"frozen,omitempty"`     // layers above its template, the topmost first
	Storage    Storage           `json:"storage,omitempty"`    // "": overlay
	Tree       string            `json:"tree,omitempty"`       // of plain storage: the directory below fs/ with its files
	IDs        IDRange           `json:"ids"`                  // zero: it is privileged
	Privileged bool              `json:"privileged,omitempty"` // it has no user namespace: its root is the host's root
	Hostname   string            `json:"hostname"`
	Interfaces []Interface       `json:"interfaces,omitempty"`
	Limits     Limits            `json:"limits"`
	Disk       Disk              `json:"disk,omitzero"`
	DNS        DNS               `json:"dns"`
	Firewall   Firewall          `json:"firewall,omitzero"`
	Routing    Routing           `json:"routing,omitzero"`
	Mounts     []Mount           `json:"mounts,omitempty"`
	Published  []Publication     `json:"published,omitempty"` // ports of the host that lead to this VPS
	Sysctls    map[string]string `json:"sysctls,omitempty"`
	Allow      []string          `json:"allow,omitempty"`   // what a VPS does not have by default: CheckAllow
	CapAdd     []string          `json:"capAdd,omitempty"`  // capabilities that a VPS does not have by default: ParseCapability
	CapDrop    []string          `json:"capDrop,omitempty"` // capabilities that it does not have
	Env        []string          `json:"env,omitempty"`     // for init: NAME=value
	Devices    []Device          `json:"devices,omitempty"` // of the host
	// Credentials are secrets for services of the VPS; their values are not here.
	Credentials []Credential      `json:"credentials,omitempty"`
	Fit         Fit               `json:"fit,omitempty"`                // what the first start does to the files of the template
	Ephemeral   bool              `json:"ephemeral,omitempty"`          // created by run --rm
	Runner      Runner            `json:"runner,omitzero"`              // an ephemeral VPS ends with this process
	Creator     Runner            `json:"creator,omitzero"`             // it creates the VPS and has not given it all settings; zero: the VPS is complete
	OnBoot      OnBoot            `json:"onboot,omitempty"`             // whether a boot of the host starts it
	BootOrder   int               `json:"bootOrder,omitempty"`          // a higher one starts first and stops last
	StopAfter   int               `json:"stopTimeoutSeconds,omitempty"` // how long a stop may take; 0 is the default
	NoDmesg     bool              `json:"noDmesg,omitempty"`            // it has no kernel messages of its own
	Seccomp     Seccomp           `json:"seccomp,omitempty"`            // its filter of system calls
	Protected   bool              `json:"protected,omitempty"`          // destroy refuses it
	Restart     Restart           `json:"restart,omitzero"`             // whether it starts again after an end that no command asked for
	Labels      map[string]string `json:"labels,omitempty"`
	// Description is one line of text for people.
	Description string `json:"description,omitempty"`
	// Detached are interfaces that a change which is not complete adds or removes: they
	// may have claims in the tables of the networks, and links on the host.
	Detached []Interface `json:"detached,omitempty"`
	// RenamedFrom is the former name while a rename is not complete: until then
	// the network tables may have the former name.
	RenamedFrom Name `json:"renamedFrom,omitempty"`
	// Reinstalled says that a reinstallation is not complete: frozen layers have the files
	// that the VPS has kept and are to be its own, and its next start is the first one.
	Reinstalled bool `json:"reinstalled,omitempty"`
	// Restored says that the restore of a snapshot is not complete, and whether the VPS had
	// been started before its snapshot; "" without one.
	Restored Restored `json:"restored,omitempty"`
}

// A Restored says of what a VPS has got the files.
type Restored string

// Kinds of Restored.
const (
	RestoredStarted      Restored = "started"
	RestoredNeverStarted Restored = "never-started" // its next start is the first one
)

// A Runner is a process that a VPS depends on, in one boot of the host.
type Runner struct {
	HostBoot  string `json:"hostBoot"`
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"`
}

// A Template names the image that a VPS was created from. Digest is the digest
// of its manifest and identifies it; Name is the text that the user typed.
type Template struct {
	Name   string   `json:"name"`
	Digest string   `json:"digest"`
	Layers []string `json:"layers"` // diff ids, lowest first
}

// An IDRange is the user and group ids of the host that are 0..Size-1 in the VPS.
type IDRange struct {
	First uint32 `json:"first"`
	Size  uint32 `json:"size"`
}

// Overlaps reports whether some id is in both ranges.
func (r IDRange) Overlaps(o IDRange) bool {
	return uint64(r.First) < uint64(o.First)+uint64(o.Size) && uint64(o.First) < uint64(r.First)+uint64(r.Size)
}

// OnBoot says whether a boot of the host starts a VPS.
type OnBoot string

// The values of OnBoot.
const (
	OnBootLast OnBoot = ""    // if it should have been running when the host went down
	OnBootYes  OnBoot = "yes" // always
	OnBootNo   OnBoot = "no"
)

// String is the value as a person types it.
func (o OnBoot) String() string {
	if o == OnBootLast {
		return "last"
	}
	return string(o)
}

// Check returns fail.Usage for a value that is not one of the constants.
func (o OnBoot) Check() error {
	switch o {
	case OnBootLast, OnBootYes, OnBootNo:
		return nil
	}
	return fail.New(fail.Usage, "onboot: %q is none of yes, no, last", string(o))
}

// MaxStopTimeout is the longest stop timeout that can be set.
const MaxStopTimeout = 365 * 24 * time.Hour

// Check returns fail.Usage for the first setting that is invalid. It checks all
// that can be known without the machine. For example, it does not check that
// the host has a published address.
func (v VPS) Check() error {
	if _, err := ParseName(string(v.Name)); err != nil {
		return err
	}
	if v.BootOrder < 0 || v.BootOrder > math.MaxInt32 {
		return fail.New(fail.Usage, "boot order: %d is not from 0 to %d", v.BootOrder, math.MaxInt32)
	}
	if v.StopAfter < 0 || v.StopAfter > int(MaxStopTimeout/time.Second) {
		return fail.New(fail.Usage, "invalid stop timeout %d s", v.StopAfter)
	}
	if v.Protected && v.Ephemeral {
		return fail.New(fail.Usage, "a VPS of run --rm cannot be protected: it is destroyed when its command ends")
	}
	for _, check := range []func() error{
		v.checkTexts, v.checkStorage, v.OnBoot.Check, v.checkInterfaces, v.Limits.Check, v.Disk.Check, v.DNS.Check, v.Firewall.Check, v.Routing.Check,
		v.checkPublished, v.checkAllow, v.checkSeccomp, v.checkCapabilities, v.checkSysctls, v.checkDevices, v.checkMounts, v.checkRestart, v.checkCredentials, v.checkFit,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (v VPS) checkAllow() error {
	for _, name := range v.Allow {
		if err := CheckAllow(name, v.Privileged); err != nil {
			return err
		}
	}
	return nil
}

func (v VPS) checkSysctls() error {
	for key := range v.Sysctls {
		if err := CheckSysctl(key, v.Privileged); err != nil {
			return err
		}
	}
	return nil
}
