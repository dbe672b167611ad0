package runtime

import (
	"os"
	"strings"

	"croft/internal/proc"
	"croft/internal/state"
	"croft/runtime/observe"
)

// alive is observe.Alive.
func alive(p state.Process) bool { return observe.Alive(p) }

// monitorsOf returns the processes that are called like a monitor of name and
// have its life lock's file open. The kernel does not tell which process holds
// such a lock, and other commands open the file only to look at the lock.
func monitorsOf(lifeFile, name string) []int {
	return proc.WithOpenFile(lifeFile, func(pid int) bool { return pid != os.Getpid() && calledMonitor(pid, name) })
}

// calledMonitor reports whether process pid has the command line of a monitor
// of name, as croft or as the holder.
func calledMonitor(pid int, name string) bool {
	text, err := proc.CommandLine(pid)
	if err != nil {
		return false
	}
	args := strings.Split(text, "\x00")
	return args[0] == holderTitle(name) || len(args) > 2 && args[1] == MonitorCommand && args[2] == name
}

// holderTitle is the name of the holder of a VPS in ps(1).
func holderTitle(name string) string { return "croft: " + name }
