package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"croft/internal/state"
)

// processOf names the process pid, so that it can be told from a later one
// with the same pid.
func processOf(pid int) (state.Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return state.Process{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	_, start, err := parseStat(string(stat))
	return state.Process{PID: pid, StartTime: start}, err
}

// alive reports whether p runs: it is there, it is the same, and it is no
// zombie.
func alive(p state.Process) bool {
	if p.PID <= 0 {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return false
	}
	letter, start, err := parseStat(string(stat))
	return err == nil && start == p.StartTime && letter != 'Z' && letter != 'X'
}

// stopped reports whether process pid stands still: by a signal, or because a
// debugger holds it.
func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	letter, _, err := parseStat(string(stat))
	return err == nil && (letter == 'T' || letter == 't')
}

// monitorsOf lists the processes that have the life lock's file open and are
// called like a monitor of name. The kernel does not say who holds such a lock,
// and other commands only look at the file.
func monitorsOf(lifeFile, name string) []int {
	all, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if pid == os.Getpid() || !calledMonitor(dir, name) {
			continue
		}
		fds, _ := filepath.Glob(dir + "/fd/*")
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil && strings.TrimSuffix(target, " (deleted)") == lifeFile {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// calledMonitor reports whether the process in dir has the command line of a
// monitor of name, as croft or as the holder.
func calledMonitor(dir, name string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return false
	}
	args := strings.Split(string(text), "\x00")
	return args[0] == holderTitle(name) || len(args) > 2 && args[1] == MonitorCommand && args[2] == name
}

// holderTitle is what ps(1) calls the holder of name.
func holderTitle(name string) string { return "croft: " + name }

// parseStat reads the state letter and the start time (fields 3 and 22) from
// /proc/PID/stat. The command in field 2 may hold blanks and parentheses, so
// fields count from the last parenthesis (proc_pid_stat(5)).
func parseStat(stat string) (letter byte, start uint64, err error) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, 0, fmt.Errorf("no process status: %q", stat)
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 || len(fields[0]) != 1 {
		return 0, 0, fmt.Errorf("no process status: %q", stat)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("no start time in process status: %w", err)
	}
	return fields[0][0], start, nil
}
