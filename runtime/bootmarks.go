package runtime

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// leftBootMark reports whether the init that is pid, of a kind that never says
// that it has booted, has left the mark of its kind. The mark can be there before
// its scripts have ended: bootScriptsEnded is to be asked next.
func leftBootMark(pid int) bool {
	root := fmt.Sprintf("/proc/%d/root", pid)
	read := func(name string) []byte {
		data, err := readInside(root, name)
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
		return openrcIsUp(string(level)) && !existsInside(root, "/run/openrc/rc.starting")
	}
	level := runlevel(read("/run/utmp"))
	return '2' <= level && level <= '5'
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
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return false
	}
	for _, child := range strings.Fields(string(children)) {
		cmdline, err := os.ReadFile(filepath.Join("/proc", child, "cmdline"))
		if err == nil && runsScripts(string(cmdline), string(init)) { // else it has just ended
			return false
		}
	}
	return true
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
	const (
		record  = 384 // sizeof(struct utmp), the same on all of glibc's architectures
		runLvl  = 1   // RUN_LVL, ut_type
		pidFrom = 4   // ut_pid: the runlevel in its low byte, the one before above it
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
