package bundles

import (
	"fmt"
	"math"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/vps"
)

// Capacity is how much a host has of what VPSs without limits of their own get
// a share of.
type Capacity struct {
	Tasks  int64 // how many processes and threads there can be
	Memory int64 // bytes
	CPUs   int64 // how many of them are online
	// LimitMemory reports whether the host has the memory controller.
	LimitMemory bool
	// LimitPIDs, LimitCPU, LimitCPUSet and LimitIO report the same of the controllers
	// pids, cpu, cpuset and io (blkio of version 1).
	LimitPIDs, LimitCPU, LimitCPUSet, LimitIO bool
	// Unified reports whether the host has version 2 of cgroups and no other.
	Unified bool
	// IOCost and BFQ report which of the kernel's two ways to share a busy disk by
	// weight there are (version 2 has both, version 1 only BFQ).
	IOCost, BFQ bool
	// CPUList is the list of the CPUs that are online; "" if it is not known.
	CPUList string
	// Hard are the highest hard limits that this host can give a process, by
	// the names of setrlimit(2). A missing one is unbounded.
	Hard map[string]uint64
}

// DefaultPIDs is the limit of processes and threads of a VPS without one of its
// own: 15 % of the host's, as systemd gives to each unit, and at most 16384.
func (c Capacity) DefaultPIDs() int64 {
	const most = 16384
	if c.Tasks == 0 {
		return most
	}
	return min(most, max(64, c.Tasks*15/100))
}

// DefaultMemory is the default limit of memory of a VPS, in bytes: the host's
// memory without an eighth, or without 256 MiB if that is more. So one VPS that
// takes all it can get leaves the host able to work. At least half of the
// host's memory is allowed. -1 means no limit: the host cannot limit memory.
func (c Capacity) DefaultMemory() int64 {
	if c.Memory == 0 || !c.LimitMemory {
		return -1
	}
	const page = 64 << 10 // the largest of any architecture
	return max(c.Memory-max(c.Memory/8, 256<<20), c.Memory/2) / page * page
}

// memory returns the limit of memory in bytes, -1 without a limit.
func (s Settings) memory() int64 {
	if s.Limits.Memory != 0 {
		return s.Limits.Memory
	}
	return s.Capacity.DefaultMemory()
}

// pids returns the limit of processes and threads, -1 without a limit.
func (s Settings) pids() int64 {
	switch {
	case s.Limits.PIDs > 0:
		return s.Limits.PIDs
	case s.Limits.PIDs < 0:
		return -1
	}
	return s.Capacity.DefaultPIDs()
}

// TmpSize returns the mount options that bound a tmpfs which a VPS with these limits
// mounts on its /tmp itself.
func TmpSize(l vps.Limits, c Capacity) string {
	return strings.Join(Settings{Limits: l, Capacity: c}.tmpfs(4, 8), ",")
}

// tmpfs returns options that bound a tmpfs to a fraction of the VPS's memory if
// that is limited, else of the host's memory, and at most to 4 GiB. Without
// them the kernel allows half of the host's memory. The content of a tmpfs
// belongs to no process, so the OOM killer does not free it: a VPS whose tmpfs
// could fill all its memory loses its init. An inode takes about 1 KiB. One
// inode for 16 KiB of content is about the kernel's own default on a small
// machine.
func (s Settings) tmpfs(ofLimit, ofHost int64) []string {
	const least, most = 1 << 20, 4 << 30
	size := min(most, s.Capacity.Memory/ofHost)
	if s.Limits.Memory > 0 {
		size = s.Limits.Memory / ofLimit
	}
	size = max(least, size)
	return []string{fmt.Sprintf("size=%dk", size>>10), fmt.Sprintf("nr_inodes=%d", max(1024, size>>14))}
}

// rlimits returns all resource limits, so that none is inherited from the
// caller that starts a VPS or a command inside. The values are those of a
// machine's init (include/asm-generic/resource.h), except for resources that
// the whole VPS shares: the hard limit also bounds locked memory, pending
// signals and message queues of all users of the VPS together.
func rlimits(s Settings) []specs.POSIXRlimit {
	const infinity = math.MaxUint64
	tasks := s.userTasks()
	locked := uint64(max(8<<20, s.Capacity.Memory/8))
	if s.Limits.Memory > 0 {
		locked = uint64(max(8<<20, s.Limits.Memory/2))
	}
	signals := uint64(max(16384, s.Capacity.Tasks/2))
	all := []specs.POSIXRlimit{
		{Type: "RLIMIT_AS", Soft: infinity, Hard: infinity},
		{Type: "RLIMIT_CORE", Soft: 0, Hard: infinity},
		{Type: "RLIMIT_CPU", Soft: infinity, Hard: infinity},
		{Type: "RLIMIT_DATA", Soft: infinity, Hard: infinity},
		{Type: "RLIMIT_FSIZE", Soft: infinity, Hard: infinity},
		{Type: "RLIMIT_LOCKS", Soft: infinity, Hard: infinity},
		{Type: "RLIMIT_MEMLOCK", Soft: 8 << 20, Hard: locked},
		{Type: "RLIMIT_MSGQUEUE", Soft: 819200, Hard: 8 << 20},
		{Type: "RLIMIT_NICE", Soft: 0, Hard: 0},
		{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: s.NoFile},
		{Type: "RLIMIT_NPROC", Soft: tasks, Hard: tasks},
		{Type: "RLIMIT_RSS", Soft: infinity, Hard: infinity},
		{Type: "RLIMIT_RTPRIO", Soft: 0, Hard: 0},
		{Type: "RLIMIT_RTTIME", Soft: infinity, Hard: infinity},
		{Type: "RLIMIT_SIGPENDING", Soft: signals, Hard: signals},
		{Type: "RLIMIT_STACK", Soft: 8 << 20, Hard: infinity},
	}
	for i := range all {
		if most, bounded := s.Capacity.Hard[all[i].Type]; bounded {
			all[i].Hard = min(all[i].Hard, most)
		}
		all[i].Soft = min(all[i].Soft, all[i].Hard)
	}
	return all
}

// userTasks is RLIMIT_NPROC. Where the cgroup limits the processes it is the host's
// number, so that the cgroup refuses first: the kernel counts what that refuses, and
// its limit can change while the processes run. Else it is the limit of the VPS,
// which each of its users has then.
func (s Settings) userTasks() uint64 {
	if s.pids() < 0 || s.Capacity.LimitPIDs {
		return uint64(max(s.Capacity.Tasks, s.pids(), 1))
	}
	return uint64(s.pids())
}
