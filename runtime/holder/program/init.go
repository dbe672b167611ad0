package main

import (
	"syscall"
	"unsafe"
)

// How long a dead init that is another's child may wait to be reaped by it,
// before its exit status is given up: its status is only known then.
const (
	reapTries = 200
	reapPause = 10 * 1000 * 1000 // ns
)

// initEnded learns how init ended. Its pidfd is readable.
func (h *holder) initEnded() {
	if h.ended {
		return
	}
	if !h.cfg.Adopted {
		var status syscall.WaitStatus
		pid, err := wait4(h.cfg.Init, &status)
		if pid == h.cfg.Init {
			h.setEnd(uint32(status))
			return
		}
		if err != syscall.ECHILD {
			return // EINTR and the like: the pidfd stays readable
		}
	}
	h.ended = true
	if status, known := h.tracer.wait(); known {
		h.setEnd(status)
		return
	}
	gone := false
	for range reapTries {
		status, known, err := exitOf(h.cfg.PIDFD)
		if known {
			h.setEnd(status)
			h.end.Own = h.cfg.Adopted
		}
		// It may have been reaped between the kernel's looks for the status and
		// for the process (pidfd_info, fs/pidfs.c): then the next call finds the former.
		if err == syscall.ESRCH && !gone {
			gone = true
			continue
		}
		if known || err != 0 {
			return
		}
		pause := syscall.Timespec{Nsec: reapPause}
		syscall.Nanosleep(&pause, nil)
	}
}

func (h *holder) setEnd(status uint32) {
	h.ended, h.end.Abandoned = true, false
	h.end.Known, h.end.Status = true, status
}

// reap takes every dead child off the process table: processes that croft
// left behind, or that we are the subreaper of.
func (h *holder) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := wait4(-1, &status)
		if pid <= 0 || err != 0 {
			return
		}
		if pid == h.cfg.Init {
			h.setEnd(uint32(status))
		}
	}
}

// waitOwn is __WNOTHREAD: a wait of this thread does not take events that the
// tracer's thread waits for.
const waitOwn = 0x20000000

func wait4(pid int, status *syscall.WaitStatus) (int, syscall.Errno) {
	r, _, err := syscall.Syscall6(syscall.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(status)),
		syscall.WNOHANG|waitOwn, 0, 0, 0)
	return int(r), err
}

// pidfdInfo is struct pidfd_info of linux/pidfd.h as of its first version
// (kernel 6.13); PIDFD_INFO_EXIT came with 6.15.
type pidfdInfo struct {
	mask, cgroup uint64
	ids          [11]uint32
	exitCode     uint32
}

const (
	pidfdGetInfo  = 0xc040ff0b // _IOWR(0xff, 11, struct pidfd_info)
	pidfdInfoExit = 1 << 3
)

// exitOf asks the kernel how the process behind a pidfd ended. It is not
// known until its parent has reaped it; an error says that it never will be.
func exitOf(pidfd int) (status uint32, known bool, err syscall.Errno) {
	info := pidfdInfo{mask: pidfdInfoExit}
	_, _, err = syscall.Syscall(syscall.SYS_IOCTL, uintptr(pidfd), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	if err != 0 {
		return 0, false, err
	}
	return info.exitCode, info.mask&pidfdInfoExit != 0, 0
}
