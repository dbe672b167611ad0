// Package proc reads files of proc(5) about processes of the host. All pids are
// numbers of the host's pid namespace.
//
// A pid alone does not identify a process for long: the kernel reuses it.
// Together with the start time it does.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Stat holds fields of /proc/PID/stat (proc_pid_stat(5)).
type Stat struct {
	Command   string // at most 15 bytes, any bytes
	State     byte   // R, S, D, Z, T, …
	Parent    int    // 0: the parent is outside this pid namespace
	CPU       time.Duration
	Threads   int
	StartTime uint64 // in clock ticks since the host booted
	Resident  uint64 // memory, in pages
}

// tick is the unit of times in /proc/PID/stat: 1/USER_HZ, which is the same on
// all architectures that croft supports.
const tick = 10 * time.Millisecond

// ReadStat returns the state of process pid. The error of a process that has
// ended is fs.ErrNotExist or ESRCH.
func ReadStat(pid int) (Stat, error) {
	text, err := os.ReadFile(file(pid, "stat"))
	if err != nil {
		return Stat{}, fmt.Errorf("cannot read process %d: %w", pid, err)
	}
	return ParseStat(string(text))
}

// ParseStat parses the text of /proc/PID/stat. The command in field 2 may hold
// blanks and parentheses, so fields are counted from the last parenthesis.
func ParseStat(text string) (Stat, error) {
	begin, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if begin < 0 || end < begin {
		return Stat{}, fmt.Errorf("invalid process status %q", text)
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 22 || len(fields[0]) != 1 {
		return Stat{}, fmt.Errorf("invalid process status %q", text)
	}
	number := func(field int) uint64 { // 0 for -1, which the kernel prints in a few fields
		n, _ := strconv.ParseUint(fields[field-3], 10, 64)
		return n
	}
	start, err := strconv.ParseUint(fields[22-3], 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("invalid start time in process status: %w", err)
	}
	return Stat{
		Command: text[begin+1 : end], State: fields[0][0], Parent: int(number(4)),
		CPU: time.Duration(number(14)+number(15)) * tick, Threads: int(number(20)), StartTime: start, Resident: number(24),
	}, nil
}

// Age returns how long a process with this start time has existed.
func (s Stat) Age() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, fmt.Errorf("cannot read the time since boot: %w", err)
	}
	return time.Duration(now.Nano()) - time.Duration(s.StartTime)*tick, nil
}

// Alive reports whether the process that has this pid and start time exists. A
// zombie has ended.
func Alive(pid int, startTime uint64) bool {
	if pid <= 0 {
		return false
	}
	s, err := ReadStat(pid)
	return err == nil && s.StartTime == startTime && s.State != 'Z' && s.State != 'X'
}

// Stopped reports whether process pid is stopped by a signal or a debugger.
func Stopped(pid int) bool {
	s, err := ReadStat(pid)
	return err == nil && (s.State == 'T' || s.State == 't')
}

// Executable returns the file that process pid runs, as a path in its own mount
// namespace; "" if that cannot be read.
func Executable(pid int) string {
	exe, err := os.Readlink(file(pid, "exe"))
	if err != nil {
		return ""
	}
	return exe
}

// CommandLine returns the arguments of process pid, each followed by a zero
// byte. A zombie has none.
func CommandLine(pid int) (string, error) {
	text, err := os.ReadFile(file(pid, "cmdline"))
	if err != nil {
		return "", fmt.Errorf("cannot read process %d: %w", pid, err)
	}
	return string(text), nil
}

// Children returns the processes whose parent is process pid. A child that a
// thread other than the main thread has started is missing.
func Children(pid int) []int {
	text, err := os.ReadFile(file(pid, fmt.Sprintf("task/%d/children", pid)))
	if err != nil {
		return nil
	}
	var all []int
	for _, word := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(word); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// WithOpenFile returns the processes that have a descriptor of the file at path
// open, among those that may reports true for.
func WithOpenFile(path string, may func(pid int) bool) []int {
	all, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if !may(pid) {
			continue
		}
		fds, _ := filepath.Glob(dir + "/fd/*")
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil && strings.TrimSuffix(target, " (deleted)") == path {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

func file(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
