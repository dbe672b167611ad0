package container

import (
	"errors"
	"slices"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/intelrdt"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// RDT is what of Intel's resource director technology can be changed: a schema
// of resctrl(5) each, "" for none.
type RDT struct{ L3Cache, MemoryBandwidth string }

// Update changes the limits of c to r. No part of r is nil. Values inside that
// are nil or zero stay unchanged. On an error the limits are as before.
func (c *Container) Update(r *specs.LinuxResources, rdt RDT) error {
	config := c.lc.Config()
	if err := updateRDT(&config, rdt); err != nil {
		return err
	}
	// libcontainer sets the old ones back if it fails, so they are kept apart.
	cgroup, resources := *config.Cgroups, *config.Cgroups.Resources
	updateBlockIO(&resources, r.BlockIO)
	updateCPU(&resources, r.CPU)
	updateMemory(&resources, r.Memory)
	resources.PidsLimit = r.Pids.Limit
	resources.Unified = r.Unified
	// Devices cannot be changed, and others may have changed them since.
	resources.SkipDevices = true
	cgroup.Resources = &resources
	config.Cgroups = &cgroup
	return c.lc.Set(config)
}

func updateRDT(config *configs.Config, rdt RDT) error {
	switch {
	case rdt == RDT{}:
		return nil
	case rdt.L3Cache != "" && !intelrdt.IsCATEnabled():
		//lint:ignore ST1005 a name, and runc's words
		return errors.New("Intel RDT/CAT: l3 cache schema is not enabled")
	case rdt.MemoryBandwidth != "" && !intelrdt.IsMBAEnabled():
		//lint:ignore ST1005 a name, and runc's words
		return errors.New("Intel RDT/MBA: memory bandwidth schema is not enabled")
	case config.IntelRdt == nil:
		return errors.New("updating a non-existent Intel RDT configuration is not supported")
	}
	changed := *config.IntelRdt
	if rdt.L3Cache != "" {
		changed.L3CacheSchema = rdt.L3Cache
	}
	if rdt.MemoryBandwidth != "" {
		changed.MemBwSchema = rdt.MemoryBandwidth
	}
	config.IntelRdt = &changed
	return nil
}

func updateMemory(to *cgroups.Resources, m *specs.LinuxMemory) {
	set(&to.Memory, m.Limit)
	set(&to.MemoryReservation, m.Reservation)
	set(&to.MemorySwap, m.Swap)
	set(&to.MemoryCheckBeforeUpdate, m.CheckBeforeUpdate)
}

func updateCPU(to *cgroups.Resources, c *specs.LinuxCPU) {
	// Quota and period are written as one. One that is not given stays; none
	// given takes both away.
	var period uint64
	var quota int64
	set(&period, c.Period)
	set(&quota, c.Quota)
	if period != 0 || quota == 0 {
		to.CpuPeriod = period
	}
	if quota != 0 || period == 0 {
		to.CpuQuota = quota
	}
	to.CpuBurst = c.Burst
	if c.Shares != nil {
		to.CpuShares = *c.Shares
		to.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(*c.Shares)
	}
	set(&to.CpuRtPeriod, c.RealtimePeriod)
	set(&to.CpuRtRuntime, c.RealtimeRuntime)
	to.CpusetCpus, to.CpusetMems = c.Cpus, c.Mems // "" is left alone
	to.CPUIdle = c.Idle
}

func updateBlockIO(to *cgroups.Resources, b *specs.LinuxBlockIO) {
	set(&to.BlkioWeight, b.Weight)
	set(&to.BlkioLeafWeight, b.LeafWeight)
	weights := cloned(to.BlkioWeightDevice)
	for _, d := range b.WeightDevice {
		weights = setWeight(weights, d)
	}
	to.BlkioWeightDevice = weights
	for _, t := range []struct {
		to   *[]*cgroups.ThrottleDevice
		from []specs.LinuxThrottleDevice
	}{
		{&to.BlkioThrottleReadBpsDevice, b.ThrottleReadBpsDevice},
		{&to.BlkioThrottleWriteBpsDevice, b.ThrottleWriteBpsDevice},
		{&to.BlkioThrottleReadIOPSDevice, b.ThrottleReadIOPSDevice},
		{&to.BlkioThrottleWriteIOPSDevice, b.ThrottleWriteIOPSDevice},
	} {
		devices := cloned(*t.to)
		for _, d := range t.from {
			devices = setThrottle(devices, d)
		}
		*t.to = devices
	}
}

// setWeight changes the weights of a device, or adds it. Of several entries
// for a device the last one counts.
func setWeight(devices []*cgroups.WeightDevice, d specs.LinuxWeightDevice) []*cgroups.WeightDevice {
	for _, old := range slices.Backward(devices) {
		if old.Major == d.Major && old.Minor == d.Minor {
			set(&old.Weight, d.Weight)
			set(&old.LeafWeight, d.LeafWeight)
			return devices
		}
	}
	added := cgroups.NewWeightDevice(d.Major, d.Minor, 0, 0)
	set(&added.Weight, d.Weight)
	set(&added.LeafWeight, d.LeafWeight)
	return append(devices, added)
}

// setThrottle changes the rate of a device, or adds it.
func setThrottle(devices []*cgroups.ThrottleDevice, d specs.LinuxThrottleDevice) []*cgroups.ThrottleDevice {
	for _, old := range slices.Backward(devices) {
		if old.Major == d.Major && old.Minor == d.Minor {
			old.Rate = d.Rate
			return devices
		}
	}
	return append(devices, cgroups.NewThrottleDevice(d.Major, d.Minor, d.Rate))
}

// set copies a value to to, if one was given.
func set[T any](to *T, given *T) {
	if given != nil {
		*to = *given
	}
}

// cloned returns pointers to copies of the values.
func cloned[T any](all []*T) []*T {
	copies := make([]*T, len(all))
	for i, v := range all {
		value := *v
		copies[i] = &value
	}
	return copies
}
