package vps

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// AddDevice gives the VPS a device. One that it has already with the same options
// is looked up again on the host: after it was plugged in again it has another
// number.
type AddDevice struct{ Device Device }

// Apply adds it.
func (e AddDevice) Apply(v *VPS) error {
	if !slices.Contains(v.Devices, e.Device) {
		v.Devices = append(slices.Clone(v.Devices), e.Device)
	}
	return nil
}

// Part is the devices.
func (AddDevice) Part() Part { return PartDevices }

func (e AddDevice) String() string { return "add device " + e.Device.String() }

// RemoveDevice removes the device whose path inside, class or path on the host is
// Name. One that the VPS does not have is fail.NotFound.
type RemoveDevice struct{ Name string }

// Apply removes it.
func (e RemoveDevice) Apply(v *VPS) error {
	name := e.Name
	if name == DeviceKVM {
		name = "/dev/kvm"
	}
	at := slices.IndexFunc(v.Devices, func(d Device) bool { return d.Name() == name })
	if at < 0 {
		at = slices.IndexFunc(v.Devices, func(d Device) bool { return d.Source == name })
	}
	if at < 0 {
		return fail.New(fail.NotFound, "%s has no device %s: it has %s", v.Name, e.Name, v.deviceNames())
	}
	v.Devices = slices.Delete(slices.Clone(v.Devices), at, at+1)
	return nil
}

// Part is the devices.
func (RemoveDevice) Part() Part { return PartDevices }

func (e RemoveDevice) String() string { return "remove device " + e.Name }

func (v VPS) deviceNames() string {
	if len(v.Devices) == 0 {
		return "none of the host's"
	}
	names := make([]string, len(v.Devices))
	for n, d := range v.Devices {
		names[n] = d.Name()
	}
	return strings.Join(names, ", ")
}
