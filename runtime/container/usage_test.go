package container

import (
	"math"
	"testing"

	"github.com/opencontainers/cgroups"
)

func TestUsageOf(t *testing.T) {
	v1, v2 := cgroups.NewStats(), cgroups.NewStats()
	for _, s := range []*cgroups.Stats{v1, v2} {
		s.CpuStats.CpuUsage = cgroups.CpuUsage{TotalUsage: 9, UsageInUsermode: 5, UsageInKernelmode: 4}
		s.MemoryStats.Usage = cgroups.MemoryData{Usage: 100, MaxUsage: 120, Limit: 1000}
		s.MemoryStats.SwapUsage = cgroups.MemoryData{Usage: 130, Limit: 1500}
		s.PidsStats = cgroups.PidsStats{Current: 3, Limit: 64}
		s.BlkioStats.IoServiceBytesRecursive = []cgroups.BlkioStatEntry{{Op: "Read", Value: 1}, {Minor: 1, Op: "Read", Value: 2}, {Op: "Write", Value: 4}, {Op: "Total", Value: 7}}
		s.BlkioStats.IoServicedRecursive = []cgroups.BlkioStatEntry{{Op: "Read", Value: 8}, {Op: "Write", Value: 16}, {Op: "Discard", Value: 1}}
	}
	v1.MemoryStats.Stats = map[string]uint64{"inactive_file": 1, "total_inactive_file": 30}
	v2.MemoryStats.Stats = map[string]uint64{"inactive_file": 30}
	want := Usage{CPU: 9, CPUUser: 5, CPUSystem: 4, Memory: 70, MemoryTotal: 100, MemoryPeak: 120, MemoryLimit: 1000, Swap: 30, SwapLimit: 500,
		PIDs: 3, PIDsLimit: 64, ReadBytes: 3, WrittenBytes: 4, Reads: 8, Writes: 16}
	for version, s := range map[int]*cgroups.Stats{1: v1, 2: v2} {
		if got := usageOf(s); got != want {
			t.Errorf("version %d: %+v", version, got)
		}
	}

	v1.MemoryStats.Usage.Limit, v2.MemoryStats.Usage.Limit = 9223372036854771712, math.MaxUint64
	v1.MemoryStats.SwapUsage.Limit, v2.MemoryStats.SwapUsage.Limit = 9223372036854771712, math.MaxUint64
	v2.MemoryStats.Usage.Usage, v1.MemoryStats.Usage.Usage = 20, 20 // it has shrunk meanwhile
	want.MemoryLimit, want.SwapLimit, want.Memory, want.MemoryTotal, want.Swap = 0, 0, 0, 20, 110
	for version, s := range map[int]*cgroups.Stats{1: v1, 2: v2} {
		if got := usageOf(s); got != want {
			t.Errorf("version %d without limits: %+v", version, got)
		}
	}
	if got := usageOf(cgroups.NewStats()); got != (Usage{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
