package runtime

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
)

// leftBootMark reports whether the init that is pid, of a kind that never says
// that it has booted, has left the mark of its kind below its root. The mark can be there
// before its scripts have ended: bootScriptsEnded is to be asked next.
func leftBootMark(pid int, root *inside.Root) bool {
	read := func(name string) []byte {
		data, err := root.Read(name, mostRead)
		if err != nil {
			return nil
		}
		return data
	}
	if read("/run/booted") != nil {
		return true
	}
	// Under sysvinit too OpenRC knows better: utmp has the runlevel before
	// OpenRC has begun to come to it.
	if level := read("/run/openrc/softlevel"); level != nil {
		return openrcIsUp(string(level)) && !root.Exists("/run/openrc/rc.starting")
	}
	if level := runlevel(read("/run/utmp")); '2' <= level && level <= '5' {
		return true
	}
	// runit(8) starts its supervisor when the scripts of stage 1 have ended.
	return kindOfInit(exeInside(pid)) == initRunit && slices.ContainsFunc(childrenOf(pid), func(c child) bool {
		name, _, _ := strings.Cut(c.cmdline, "\x00")
		return filepath.Base(name) == "runsvdir"
	})
}

// How long the processes of an init that leaves no mark have to run until it
// counts as booted, and how long that may take.
const (
	settledAfter = 5 * time.Second
	settledAtEnd = 30 * time.Second
)

// hasSettled reports whether the init that is pid starts nothing any more, as
// far as that can be seen from outside.
func hasSettled(pid int) bool {
	now, err := sinceHostBoot()
	if err != nil {
		return false
	}
	age := func(pid int) time.Duration {
		p, err := processOf(pid)
		if err != nil {
			return 0 // it has just ended
		}
		return now - time.Duration(p.StartTime)*time.Second/clockTicks
	}
	var ages []time.Duration
	for _, c := range childrenOf(pid) {
		ages = append(ages, age(c.pid))
	}
	return settled(age(pid), ages) && bootScriptsEnded(pid)
}

// settled is hasSettled for an init of that age, whose children have those
// ages. One whose children come and go, or that has none, has settled at the end.
func settled(init time.Duration, children []time.Duration) bool {
	if init >= settledAtEnd {
		return true
	}
	return len(children) > 0 && slices.Min(children) >= settledAfter
}

// clockTicks is how many of the units of /proc/PID/stat a second has: USER_HZ,
// 100 on all of Linux's architectures that croft runs on.
const clockTicks = 100

// sinceHostBoot is the time that start times in /proc/PID/stat count from.
func sinceHostBoot() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read the time since boot: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// A child is a process that PID 1 has started or adopted.
type child struct {
	pid     int
	cmdline string // as /proc/PID/cmdline has it
}

// childrenOf returns the children of the process pid that are still there.
func childrenOf(pid int) []child {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var all []child
	for _, word := range strings.Fields(string(text)) {
		cmdline, err := os.ReadFile(filepath.Join("/proc", word, "cmdline"))
		n, nerr := strconv.Atoi(word)
		if err == nil && nerr == nil {
			all = append(all, child{n, string(cmdline)})
		}
	}
	return all
}

// openrcIsUp reports whether a softlevel is one that OpenRC comes to after the
// levels of its boot.
func openrcIsUp(level string) bool {
	level = strings.TrimSpace(level)
	return level != "" && level != "sysinit" && level != "boot"
}

// bootScriptsEnded reports whether an init that has left its mark runs no
// scripts of a runlevel any more. Between the mark and the fork for the first of
// them it only computes: one that waits for something has either a child that
// runs them or is done.
func bootScriptsEnded(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	if letter, _, err := parseStat(string(stat)); err != nil || letter == 'R' {
		return false
	}
	init, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(childrenOf(pid), func(c child) bool { return runsScripts(c.cmdline, string(init)) })
}

// runsScripts reports whether the process with that command line, as
// /proc/PID/cmdline has it, runs the scripts of a runlevel, sysvinit's rc or
// OpenRC, or is a fork of init that is about to run something.
func runsScripts(cmdline, init string) bool {
	if cmdline == init {
		return cmdline != "" // a zombie has none
	}
	words := strings.Split(strings.TrimRight(cmdline, "\x00"), "\x00")
	for _, word := range words[:min(2, len(words))] {
		switch filepath.Base(word) {
		case "rc", "rcS", "openrc":
			return true
		}
	}
	return false
}

// runlevel returns the current runlevel from the content of a utmp(5) file, 0
// if it has none.
func runlevel(utmp []byte) byte {
	return runlevelIn(utmp, utmpRecord(goruntime.GOARCH))
}

// utmpRecord is sizeof(struct utmp) of glibc: with 64-bit times where it has no
// 32-bit programs to share the file with (__WORDSIZE_TIME64_COMPAT32).
func utmpRecord(arch string) int {
	switch arch {
	case "arm64", "loong64":
		return 400
	}
	return 384
}

func runlevelIn(utmp []byte, record int) byte {
	const (
		runLvl  = 1 // RUN_LVL, ut_type
		pidFrom = 4 // ut_pid: the runlevel in its low byte, the one before above it
	)
	var level byte
	for len(utmp) >= record {
		if int16(binary.NativeEndian.Uint16(utmp)) == runLvl {
			level = byte(binary.NativeEndian.Uint32(utmp[pidFrom:]))
		}
		utmp = utmp[record:]
	}
	return level
}
