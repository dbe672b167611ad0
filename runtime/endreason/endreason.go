// Package endreason tells why a VPS has ended.
package endreason

import (
	"fmt"
	"syscall"

	"croft/internal/state"
	"croft/runtime/holder"
)

// Reasons of an end, as in state.End.
const (
	Halted   = "halted"
	Rebooted = "rebooted"
	Exited   = "exited"
	Killed   = "killed"
	Failed   = "failed"  // a start failed
	Unknown  = "unknown" // its monitor was killed; the status of the end means nothing
)

// Of returns how a VPS ended from what the holder saw. If the holder only has
// init's own exit code, 0 and SIGKILL can each be a reboot, a power-off or
// neither.
func Of(e holder.End) state.End {
	status := syscall.WaitStatus(e.Status)
	if !e.Known || e.Own && (e.Status == 0 || status.Signal() == syscall.SIGKILL) {
		return Unseen()
	}
	return ofStatus(status)
}

// Unseen returns the end of a VPS that had no monitor when it ended.
func Unseen() state.End {
	return state.End{Reason: Unknown, Detail: "its monitor was killed, so it is not known how it ended"}
}

// ByKill returns the end of a VPS that was killed.
func ByKill(detail string) state.End {
	return state.End{Reason: Killed, Status: 128 + int(syscall.SIGKILL), Detail: detail}
}

// ofStatus interprets the exit of a VPS's init. reboot(2) in a pid namespace ends
// its init with SIGHUP for a restart and with SIGINT for halt and power-off.
func ofStatus(status syscall.WaitStatus) state.End {
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGHUP:
		return state.End{Reason: Rebooted, Status: 128 + int(syscall.SIGHUP), Detail: "the VPS rebooted"}
	case status.Signaled() && status.Signal() == syscall.SIGINT:
		return state.End{Reason: Halted, Status: 0, Detail: "the VPS powered off"}
	case status.Signaled():
		return state.End{Reason: Killed, Status: 128 + int(status.Signal()),
			Detail: fmt.Sprintf("init was killed by signal %d (%s)", int(status.Signal()), status.Signal())}
	default:
		return state.End{Reason: Exited, Status: status.ExitStatus(),
			Detail: fmt.Sprintf("init exited with status %d", status.ExitStatus())}
	}
}

// WasKilled reports whether init was killed, or the command that croft's own init
// ran and whose status it returns.
func WasKilled(e state.End) bool {
	return e.Reason == Killed || e.Reason == Exited && e.Status == 128+int(syscall.SIGKILL)
}

// OutOfMemory returns the end e of a VPS in which the kernel had killed a process
// because the memory limit was reached.
func OutOfMemory(e state.End) state.End {
	e.OutOfMemory = true
	e.Detail += ", and the VPS had run out of memory"
	return e
}

// FromInside reports whether a VPS that croft had not asked to stop has powered
// off by itself. An init that may not call reboot(2) does so by exit status 0. All
// other ends are accidents.
func FromInside(e state.End) bool {
	return e.Reason == Halted || e.Reason == Exited && e.Status == 0
}
