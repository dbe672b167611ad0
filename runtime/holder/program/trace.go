package main

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A tracer learns how an init ends that is not our child. Only init's parent
// and its tracer are told what reboot(2) was asked for: zap_pid_ns_processes
// (kernel/pid_namespace.c) writes that into the zombie, and not into what
// PIDFD_GET_INFO reports. The parent died with the former monitor.
//
// The tracer is a thread that waits for nothing else. It passes every signal
// on at once, so init notices nothing. If the thread ends, for whatever reason,
// the kernel lets init go on untraced.
type tracer struct {
	state  atomic.Int32 // tracerOff, tracerOn, tracerKnows or tracerFailed
	status uint32
}

const (
	tracerOff int32 = iota
	tracerOn
	tracerKnows
	tracerFailed
)

const (
	ptraceCont   = 7
	ptraceSeize  = 0x4206
	ptraceListen = 0x4208

	eventStop = 128        // PTRACE_EVENT_STOP: a group stop, or its end
	waitAll   = 0x40000000 // __WALL
)

// begin traces pid. Where that is not allowed the end is found out by the
// pidfd alone.
func (t *tracer) begin(pid int) {
	t.state.Store(tracerOn)
	go func() {
		runtime.LockOSThread() // ptrace(2): only the thread that has attached is the tracer
		if !t.trace(pid) {
			t.state.Store(tracerFailed)
		}
	}()
}

// trace reports whether it has seen pid's end.
func (t *tracer) trace(pid int) bool {
	if !ptrace(ptraceSeize, pid, 0) {
		return false
	}
	for {
		var status syscall.WaitStatus
		got, _, err := syscall.Syscall6(syscall.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), waitAll|waitOwn, 0, 0, 0)
		switch {
		case err == syscall.EINTR:
		case err != 0 || int(got) != pid:
			return false
		case status.Exited() || status.Signaled():
			t.status = uint32(status)
			t.state.Store(tracerKnows)
			return true
		case uint32(status)>>16 == eventStop && stops(status.StopSignal()):
			ptrace(ptraceListen, pid, 0) // stopped as a whole until SIGCONT
		case uint32(status)>>16 != 0:
			ptrace(ptraceCont, pid, 0)
		default:
			ptrace(ptraceCont, pid, uintptr(status.StopSignal()))
		}
	}
}

// stops reports whether a signal stops a process.
func stops(sig syscall.Signal) bool {
	return sig == syscall.SIGSTOP || sig == syscall.SIGTSTP || sig == syscall.SIGTTIN || sig == syscall.SIGTTOU
}

func ptrace(request uintptr, pid int, data uintptr) bool {
	_, _, err := syscall.Syscall6(syscall.SYS_PTRACE, request, uintptr(pid), 0, data, 0, 0)
	return err == 0
}

// wait returns the status of a traced init that has ended. It is not known if
// init could not be traced, or if the tracer does not come to it in time.
func (t *tracer) wait() (status uint32, known bool) {
	for range reapTries {
		switch t.state.Load() {
		case tracerKnows:
			return t.status, true
		case tracerOff, tracerFailed:
			return 0, false
		}
		pause := syscall.Timespec{Nsec: reapPause}
		syscall.Nanosleep(&pause, nil)
	}
	return 0, false
}
