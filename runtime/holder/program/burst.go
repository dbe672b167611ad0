package main

import (
	"syscall"
	"unsafe"
)

// ready are the descriptors that have work.
var ready [16]syscall.EpollEvent

// nextRequest waits for a short time, if a file has been read just now: a reader opens,
// reads and closes, and waits for each of these. It returns 0 if nothing came.
//
// Go's runtime is not told that this thread waits. Else it takes the right to run Go code
// away from it after 20 µs, and each request begins with getting it again, by two
// more threads. Such a wait has to be short, because the runtime looks all
// the time whether it is over. GODEBUG=asyncpreemptoff=1 in the environment keeps it
// from ending the wait by a signal.
func (h *holder) nextRequest(timeout int) (events int, err error) {
	if !h.files.asked {
		return 0, nil
	}
	h.files.asked = false
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_WAIT, uintptr(h.epoll), uintptr(unsafe.Pointer(&ready)),
		uintptr(len(ready)), uintptr(sooner(timeout, burst)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
