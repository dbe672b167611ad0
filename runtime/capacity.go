package runtime

import (
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/state"
	"croft/runtime/container"
)

// effective is l as a VPS has it, with the default where l says nothing.
func (m *Manager) effective(l state.Limits) state.Limits {
	d := m.defaults()
	if l.PIDs == 0 {
		l.PIDs = d.PIDs
	}
	if l.Memory == 0 {
		l.Memory = d.Memory
	}
	return l
}

// defaultLimits are those of a VPS without limits of its own.
func defaultLimits(c bundles.Capacity) state.Limits {
	return state.Limits{Memory: c.DefaultMemory(), PIDs: c.DefaultPIDs()}
}

// hostCapacity is what the host has. What cannot be read is 0, for which
// defaults are small.
func hostCapacity() bundles.Capacity {
	c := bundles.Capacity{Tasks: math.MaxInt64}
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
