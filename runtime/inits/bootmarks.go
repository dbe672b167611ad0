package inits

import (
	"encoding/binary"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
)

// mostRead is how much of a boot mark is read, in bytes.
const mostRead = 1 << 20

// LeftBootMark reports whether an init that sends no notification has left the
// boot mark of its kind: OpenRC a softlevel, sysvinit a runlevel in utmp, runit
// a supervisor process, an inittab written by croft the file /run/booted. The
// init is process pid, root is its root directory. The mark can exist before
// the boot scripts have ended: see ScriptsEnded.
func LeftBootMark(pid int, root *inside.Root) bool {
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
	// OpenRC under sysvinit: utmp has the runlevel before OpenRC begins to
	// enter it, so the softlevel counts.
	if level := read("/run/openrc/softlevel"); level != nil {
		return openrcIsUp(string(level)) && !root.Exists("/run/openrc/rc.starting")
	}
	if level := runlevel(read("/run/utmp")); '2' <= level && level <= '5' {
		return true
	}
	// runit(8) starts its supervisor when the scripts of stage 1 have ended.
	return initkind.Of(proc.Executable(pid)) == initkind.Runit && slices.ContainsFunc(childCommands(pid), func(cmdline string) bool {
		name, _, _ := strings.Cut(cmdline, "\x00")
		return filepath.Base(name) == "runsvdir"
	})
}

// An init that leaves no boot mark counts as booted when all its children have
// run for settledAfter, and at the latest when it has itself run for
// settledAtEnd.
const (
	settledAfter = 5 * time.Second
	settledAtEnd = 30 * time.Second
)

// HasSettled reports whether the init pid no longer starts processes, as far as
// that can be seen from outside.
func HasSettled(pid int) bool {
	age := func(pid int) time.Duration {
		s, err := proc.ReadStat(pid)
		if err != nil {
			return 0 // it has just ended
		}
		age, err := s.Age()
		if err != nil {
			return 0
		}
		return age
	}
	var children []time.Duration
	for _, child := range proc.Children(pid) {
		children = append(children, age(child))
	}
	return settled(age(pid), children) && ScriptsEnded(pid)
}

// settled decides HasSettled from the ages of the init and of its children. An
// init without children, or whose children come and go, settles at the end.
func settled(init time.Duration, children []time.Duration) bool {
	if init >= settledAtEnd {
		return true
	}
	return len(children) > 0 && slices.Min(children) >= settledAfter
}

// childCommands returns the command lines of the children of process pid.
func childCommands(pid int) []string {
	var all []string
	for _, child := range proc.Children(pid) {
		if cmdline, err := proc.CommandLine(child); err == nil {
			all = append(all, cmdline)
		}
	}
	return all
}

// ScriptsEnded reports whether the init pid, which has left its boot mark, runs
// no boot scripts any more. Between the mark and the fork for the first script
// it only computes. So an init that waits either has a child that runs scripts,
// or has finished.
func ScriptsEnded(pid int) bool {
	if s, err := proc.ReadStat(pid); err != nil || s.State == 'R' {
		return false
	}
	init, err := proc.CommandLine(pid)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(childCommands(pid), func(cmdline string) bool { return runsScripts(cmdline, init) })
}

// openrcIsUp reports whether OpenRC enters this softlevel after those of its
// boot.
func openrcIsUp(level string) bool {
	level = strings.TrimSpace(level)
	return level != "" && level != "sysinit" && level != "boot"
}

// runsScripts reports whether a process with this command line runs the scripts
// of a runlevel (rc of sysvinit, or OpenRC), or is a fork of init that has not
// executed its program yet. Arguments end with a zero byte each.
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
// if the file has none.
func runlevel(utmp []byte) byte {
	return runlevelIn(utmp, utmpRecord(runtime.GOARCH))
}

// utmpRecord is sizeof(struct utmp) of glibc. Times have 64 bits on
// architectures without 32-bit programs that share the file
// (__WORDSIZE_TIME64_COMPAT32).
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
