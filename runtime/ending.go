package runtime

import (
	"fmt"
	"syscall"

	"croft/internal/state"
	"croft/runtime/holder"
)

// Reasons of an end, as state.End has them.
const (
	endHalted   = "halted"
	endRebooted = "rebooted"
	endExited   = "exited"
	endKilled   = "killed"
	endFailed   = "failed"
)

// EndUnknown is the reason of an End whose Status means nothing: its monitor
// was killed.
const EndUnknown = "unknown"

// endOf is how a VPS ended, from what the holder saw. Of init's own exit code
// alone, 0 and SIGKILL can each be a reboot, a power-off or neither.
func endOf(e holder.End) state.End {
	status := syscall.WaitStatus(e.Status)
	if !e.Known || e.Own && (e.Status == 0 || status.Signal() == syscall.SIGKILL) {
		return state.End{Reason: EndUnknown, Detail: "its monitor was killed, so it is not known how it ended"}
	}
	return ending(status)
}

// ending says what the exit of a VPS's init means. reboot(2) in a PID
// namespace ends its init with SIGHUP for a restart and with SIGINT for halt
// and power-off.
func ending(status syscall.WaitStatus) state.End {
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGHUP:
		return state.End{Reason: endRebooted, Status: 128 + int(syscall.SIGHUP), Detail: "the VPS rebooted"}
	case status.Signaled() && status.Signal() == syscall.SIGINT:
		return state.End{Reason: endHalted, Status: 0, Detail: "the VPS powered off"}
	case status.Signaled():
		return state.End{Reason: endKilled, Status: 128 + int(status.Signal()),
			Detail: fmt.Sprintf("init was killed by signal %d (%s)", int(status.Signal()), status.Signal())}
	default:
		return state.End{Reason: endExited, Status: status.ExitStatus(),
			Detail: fmt.Sprintf("init exited with status %d", status.ExitStatus())}
	}
}

// byKill reports whether init, or the command that croft's own init ran and
// whose status it passes on, was killed.
func byKill(e state.End) bool {
	return e.Reason == endKilled || e.Reason == endExited && e.Status == 128+int(syscall.SIGKILL)
}

// outOfMemory is the end e of a VPS in which the kernel had killed a process
// because the memory limit was reached.
func outOfMemory(e state.End) state.End {
	e.OutOfMemory = true
	e.Detail += ", and the VPS had run out of memory"
	return e
}

// wanted says whether a VPS that nobody outside had asked to stop ended
// because somebody inside had: by a power-off, which for an init that may not
// call reboot(2) is to exit with success. Any other end is an accident.
func wanted(e state.End) bool {
	return e.Reason == endHalted || e.Reason == endExited && e.Status == 0
}
