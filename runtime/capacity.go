package runtime

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

// effective is l as a VPS has it, with the default where l says nothing.
func (m *Manager) effective(l vps.Limits) vps.Limits {
	d := defaultLimits(m.capacity())
	if l.PIDs == 0 {
		l.PIDs = d.PIDs
	}
	if l.Memory == 0 {
		l.Memory = d.Memory
	}
	return l
}

// defaultLimits are those of a VPS without limits of its own.
func defaultLimits(c bundles.Capacity) vps.Limits {
	return vps.Limits{Memory: c.DefaultMemory(), PIDs: c.DefaultPIDs()}
}

// beyond says which limits of l are higher than what the host has, which then
// bounds the VPS instead. They are no error: a template of settings may be for
// a larger host, and a host can grow.
func beyond(l vps.Limits, c bundles.Capacity) []string {
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

// hostCapacity is what the host has. What cannot be read is 0, for which
// defaults are small.
func hostCapacity() bundles.Capacity {
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

// onlineCPUs is how many CPUs the host has. It does not matter which of them
// this process may use: a VPS may use all.
func onlineCPUs() int64 {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return 0
	}
	return countInList(strings.TrimSpace(string(text)))
}

// countInList is how many numbers are in a list such as 0-3,8 (cpuset(7), List
// format); 0 if it is not such a list.
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

// hardLimits are those of this process, which it cannot raise.
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

// hostOOMScoreAdj is 0 unless this process has more and cannot go down.
func hostOOMScoreAdj() int {
	if hasCapability(unix.CAP_SYS_RESOURCE) {
		return 0
	}
	return max(0, int(numberIn("/proc/self/oom_score_adj")))
}

// numberIn reads a number from a file, 0 if that cannot be done.
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
