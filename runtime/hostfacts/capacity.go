package hostfacts

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/vps"
	"croft/runtime/container"
)

// EffectiveLimits returns l with the defaults of a host of capacity c for the
// limits that are not set.
func EffectiveLimits(l vps.Limits, c bundles.Capacity) vps.Limits {
	if l.PIDs == 0 {
		l.PIDs = c.DefaultPIDs()
	}
	if l.Memory == 0 {
		l.Memory = c.DefaultMemory()
	}
	return l
}

// Exceeding returns a warning for each limit in l that is higher than what a host
// of capacity c has. It is not an error: settings can come from a larger host,
// and a host can grow.
func Exceeding(l vps.Limits, c bundles.Capacity) []string {
	var all []string
	if c.CPUs > 0 && l.MilliCPUs > c.CPUs*1000 {
		all = append(all, fmt.Sprintf("its limit of %g CPUs is more than the %d CPUs of this host", float64(l.MilliCPUs)/1000, c.CPUs))
	}
	if c.Memory > 0 && l.Memory > c.Memory {
		all = append(all, fmt.Sprintf("its memory limit of %s is more than the %s of memory of this host", inGiB(l.Memory), inGiB(c.Memory)))
	}
	return all
}

func inGiB(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }

// Capacity returns what this host has. A number that cannot be read is 0; the
// defaults of limits are small then.
func Capacity() bundles.Capacity {
	c := bundles.Capacity{Tasks: math.MaxInt64, CPUs: onlineCPUs()}
	for _, file := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		if n := numberIn(file); n > 0 {
			c.Tasks = min(c.Tasks, n)
		}
	}
	if c.Tasks == math.MaxInt64 {
		c.Tasks = 0
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		c.LimitMemory = container.HasController("memory")
		c.Memory = int64(uint64(info.Totalram) * uint64(info.Unit))
	}
	if !hasCapability(unix.CAP_SYS_RESOURCE) {
		c.Hard = hardLimits()
	}
	return c
}

// onlineCPUs returns how many CPUs the host has. This process may be allowed to
// use fewer; a VPS may use all.
func onlineCPUs() int64 {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return 0
	}
	return countInList(strings.TrimSpace(string(text)))
}

// countInList returns how many numbers are in a list such as 0-3,8 (cpuset(7),
// List format); 0 if the list is invalid.
func countInList(list string) int64 {
	var n int64
	for part := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(part, "-")
		if !ranged {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 31)
		last, err2 := strconv.ParseUint(high, 10, 31)
		if err1 != nil || err2 != nil || last < first {
			return 0
		}
		n += int64(last-first) + 1
	}
	return n
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
	if hasCapability(unix.CAP_SYS_RESOURCE) {
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
