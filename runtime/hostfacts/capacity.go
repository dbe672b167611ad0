package hostfacts

import (
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/vps"
	"croft/runtime/container"
)

// Capacity returns what this host has. A number that cannot be read is 0; the
// defaults of limits are small then.
func Capacity() bundles.Capacity {
	c := bundles.Capacity{Tasks: math.MaxInt64, CPUList: onlineCPUs()}
	c.CPUs = countInList(c.CPUList)
	for _, file := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		if n := numberIn(file); n > 0 {
			c.Tasks = min(c.Tasks, n)
		}
	}
	if c.Tasks == math.MaxInt64 {
		c.Tasks = 0
	}
	c.LimitPIDs = container.HasController("pids")
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		c.LimitMemory = container.HasController("memory")
		c.Memory = int64(uint64(info.Totalram) * uint64(info.Unit))
	}
	c.Unified = container.UnifiedOnly()
	c.LimitCPU, c.LimitCPUSet = container.HasController("cpu"), container.HasController("cpuset")
	c.BFQ, c.LimitIO = hasBFQ(), container.HasController("blkio")
	if c.Unified {
		c.IOCost, c.LimitIO = hasIOCost(), container.HasController("io")
	}
	if !exceedsLimits() {
		c.Hard = hardLimits()
	}
	return c
}

// onlineCPUs returns the list of the host's CPUs. This process may be allowed to use
// fewer; a VPS may use all.
func onlineCPUs() string {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// countInList returns how many numbers are in a list such as 0-3,8; 0 if the list is
// invalid.
func countInList(list string) int64 {
	all, err := vps.CPUs(list)
	if err != nil {
		return 0
	}
	return int64(len(all))
}

// hardLimits returns the hard limits of this process.
func hardLimits() map[string]uint64 {
	limits := map[string]uint64{}
	for name, number := range map[string]int{
		"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_DATA": unix.RLIMIT_DATA,
		"RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
		"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
		"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
		"RLIMIT_RTTIME": unix.RLIMIT_RTTIME, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
	} {
		var l unix.Rlimit
		if err := unix.Getrlimit(number, &l); err == nil {
			limits[name] = l.Max
		}
	}
	return limits
}

// oomScoreAdj returns the lowest OOM score that this process can give to a VPS, at
// least 0.
func oomScoreAdj() int {
	if exceedsLimits() {
		return 0
	}
	return max(0, int(numberIn("/proc/self/oom_score_adj")))
}

// numberIn reads a number from a file; 0 if that fails.
func numberIn(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
