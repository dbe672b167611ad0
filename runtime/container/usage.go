package container

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/opencontainers/cgroups"
)

// A Usage has the counts of a container's cgroups since it was created, and its
// current use. Numbers without a controller on this host are zero.
type Usage struct {
	CPU, CPUUser, CPUSystem uint64 // nanoseconds
	Counts

	Memory      uint64 // bytes, without the file cache that can be dropped at once
	MemoryTotal uint64 // bytes with it: what counts against the limit
	MemoryPeak  uint64 // the most of that
	MemoryLimit uint64 // bytes; 0 is unlimited, as in all limits
	Swap        uint64 // bytes
	SwapLimit   uint64
	SwapCounted bool // whether the kernel counts swap of cgroups

	PIDs, PIDsLimit uint64

	ReadBytes, WrittenBytes uint64 // of block devices
	Reads, Writes           uint64
	// IOCounted is false where the kernel does not count these: see countsIO.
	IOCounted bool
}

// Usage reads the counts of the container. An absent one is ErrAbsent.
func (e Engine) Usage(id string) (Usage, error) {
	c, err := e.load(id)
	if err != nil {
		return Usage{}, err
	}
	all, err := c.lc.Stats()
	if err != nil {
		return Usage{}, fmt.Errorf("read cgroups: %w", err)
	}
	state, err := c.lc.State()
	if err != nil {
		return Usage{}, fmt.Errorf("read container's state: %w", err)
	}
	out := usageOf(all.CgroupStats)
	out.IOCounted, out.SwapCounted = countsIO(state.CgroupPaths), countsSwap(state.CgroupPaths)
	if out.Counts, err = readCounts(state.CgroupPaths, readText); err != nil {
		return Usage{}, fmt.Errorf("read cgroups: %w", err)
	}
	if !countsPIDHits(state.CgroupPaths, state.InitProcessPid, out.PIDsLimit) {
		out.PIDHits = nil
	}
	return out, nil
}

// countsIO reports whether the kernel counts what processes in cgroups with
// these directories, by their controllers, read from and write to block
// devices. Version 2 does if the io controller is on (io.stat). Version 1 never
// counts writes that go through the page cache, and since Linux 6.10 it counts
// nothing on a device without a limit (block/blk-throttle.c).
func countsIO(dirs map[string]string) bool {
	version2 := dirs[""]
	if version2 == "" || dirs["blkio"] != "" {
		return false
	}
	_, err := os.Stat(filepath.Join(version2, "io.stat"))
	return err == nil
}

// usageOf takes ours out of libcontainer's, in which version 1 and 2 differ.
func usageOf(s *cgroups.Stats) Usage {
	cpu, memory := s.CpuStats, s.MemoryStats
	out := Usage{
		CPU: cpu.CpuUsage.TotalUsage, CPUUser: cpu.CpuUsage.UsageInUsermode, CPUSystem: cpu.CpuUsage.UsageInKernelmode,
		MemoryTotal: memory.Usage.Usage, MemoryPeak: memory.Usage.MaxUsage, MemoryLimit: limit(memory.Usage.Limit),
		PIDs: s.PidsStats.Current, PIDsLimit: limit(s.PidsStats.Limit),
	}
	inactive, version1 := memory.Stats["total_inactive_file"]
	if !version1 {
		inactive = memory.Stats["inactive_file"]
	}
	out.Memory = less(out.MemoryTotal, inactive)
	// Both versions are told as memory and swap together.
	out.Swap = less(memory.SwapUsage.Usage, memory.Usage.Usage)
	if both := limit(memory.SwapUsage.Limit); both != 0 && out.MemoryLimit != 0 {
		out.SwapLimit = less(both, out.MemoryLimit)
	}
	for _, e := range s.BlkioStats.IoServiceBytesRecursive {
		switch e.Op {
		case "Read":
			out.ReadBytes += e.Value
		case "Write":
			out.WrittenBytes += e.Value
		}
	}
	for _, e := range s.BlkioStats.IoServicedRecursive {
		switch e.Op {
		case "Read":
			out.Reads += e.Value
		case "Write":
			out.Writes += e.Value
		}
	}
	return out
}

// limit returns 0 for the kernel's "no limit": all ones in version 2, the
// largest whole number of pages in version 1.
func limit(n uint64) uint64 {
	if n >= math.MaxInt64-1<<16 {
		return 0
	}
	return n
}

// less is a-b: counts that are read one after the other may cross.
func less(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}
