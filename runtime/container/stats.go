package container

import (
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/intelrdt"
	"github.com/opencontainers/runc/types"
)

// Stats is the usage of a container. It has the JSON form of runc's events.
type Stats = types.Stats

// Stats measures what c uses.
func (c *Container) Stats() (*Stats, error) {
	from, err := c.lc.Stats()
	if err != nil {
		return nil, err
	}
	s := &Stats{NetworkInterfaces: from.Interfaces, Hugetlb: map[string]types.Hugetlb{}}
	if g := from.CgroupStats; g != nil {
		s.CPU, s.CPUSet = cpuStats(g.CpuStats), types.CPUSet(g.CPUSetStats)
		s.Memory, s.Blkio = memoryStats(g.MemoryStats), blkioStats(g.BlkioStats)
		s.Pids = types.Pids{Current: g.PidsStats.Current, Limit: g.PidsStats.Limit}
		for size, h := range g.HugetlbStats {
			s.Hugetlb[size] = types.Hugetlb{Usage: h.Usage, Max: h.MaxUsage, Failcnt: h.Failcnt}
		}
	}
	if from.IntelRdtStats != nil {
		s.IntelRdt = rdtStats(from)
	}
	return s, nil
}

// OutOfMemory tells whenever the kernel ends a process of c for want of
// memory. It is closed when c's cgroups are gone.
func (c *Container) OutOfMemory() (<-chan struct{}, error) { return c.lc.NotifyOOM() }

func cpuStats(from cgroups.CpuStats) types.Cpu {
	return types.Cpu{
		Usage: types.CpuUsage{
			Total: from.CpuUsage.TotalUsage, Percpu: from.CpuUsage.PercpuUsage,
			PercpuKernel: from.CpuUsage.PercpuUsageInKernelmode, PercpuUser: from.CpuUsage.PercpuUsageInUsermode,
			Kernel: from.CpuUsage.UsageInKernelmode, User: from.CpuUsage.UsageInUsermode,
		},
		Throttling: types.Throttling{
			Periods: from.ThrottlingData.Periods, ThrottledPeriods: from.ThrottlingData.ThrottledPeriods,
			ThrottledTime: from.ThrottlingData.ThrottledTime,
		},
		PSI: from.PSI,
	}
}

func memoryStats(from cgroups.MemoryStats) types.Memory {
	entry := func(d cgroups.MemoryData) types.MemoryEntry {
		return types.MemoryEntry{Limit: d.Limit, Usage: d.Usage, Max: d.MaxUsage, Failcnt: d.Failcnt}
	}
	return types.Memory{
		Cache: from.Cache, Usage: entry(from.Usage), Swap: entry(from.SwapUsage),
		Kernel: entry(from.KernelUsage), KernelTCP: entry(from.KernelTCPUsage),
		Raw: from.Stats, PSI: from.PSI,
	}
}

func blkioStats(from cgroups.BlkioStats) types.Blkio {
	entries := func(all []cgroups.BlkioStatEntry) []types.BlkioEntry {
		out := make([]types.BlkioEntry, 0, len(all))
		for _, e := range all {
			out = append(out, types.BlkioEntry(e))
		}
		return out
	}
	return types.Blkio{
		IoServiceBytesRecursive: entries(from.IoServiceBytesRecursive), IoServicedRecursive: entries(from.IoServicedRecursive),
		IoQueuedRecursive: entries(from.IoQueuedRecursive), IoServiceTimeRecursive: entries(from.IoServiceTimeRecursive),
		IoWaitTimeRecursive: entries(from.IoWaitTimeRecursive), IoMergedRecursive: entries(from.IoMergedRecursive),
		IoTimeRecursive: entries(from.IoTimeRecursive), SectorsRecursive: entries(from.SectorsRecursive),
		PSI: from.PSI,
	}
}

func rdtStats(from *libcontainer.Stats) types.IntelRdt {
	is := from.IntelRdtStats
	s := types.IntelRdt{Schemata: is.Schemata}
	if intelrdt.IsCATEnabled() {
		info := types.L3CacheInfo(*is.L3CacheInfo)
		s.L3CacheInfo, s.L3CacheSchemaRoot, s.L3CacheSchema = &info, is.L3CacheSchemaRoot, is.L3CacheSchema
	}
	if intelrdt.IsMBAEnabled() {
		info := types.MemBwInfo(*is.MemBwInfo)
		s.MemBwInfo, s.MemBwSchemaRoot, s.MemBwSchema = &info, is.MemBwSchemaRoot, is.MemBwSchema
	}
	if intelrdt.IsMBMEnabled() {
		s.MBMStats = is.MBMStats
	}
	if intelrdt.IsCMTEnabled() {
		s.CMTStats = is.CMTStats
	}
	return s
}
