package container

import (
	"math"
	"os"
	"path/filepath"
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

// I/O is counted by version 2 with its controller, and by nothing else.
func TestCountsIO(t *testing.T) {
	with, without := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(with, "io.stat"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		dirs map[string]string
		want bool
	}{
		"version 2":                        {map[string]string{"": with}, true},
		"version 2 without the controller": {map[string]string{"": without}, false},
		"version 1":                        {map[string]string{"blkio": with, "memory": without}, false},
		"both":                             {map[string]string{"": without, "blkio": with}, false},
		"nothing":                          {nil, false},
	} {
		if got := countsIO(c.dirs); got != c.want {
			t.Errorf("%s counts I/O: %v", what, got)
		}
	}
}
