package main

import (
	"syscall"
	"unsafe"
)

// A pace bounds the work that a VPS can cause in its holder. The holder reads,
// shows and logs console output, and reads messages, at a rate that costs the
// host little. A process inside that writes more has to wait, as on a serial
// line.
type pace struct {
	most   int   // what may be spent in a window: bytes, or another measure
	window int64 // the number of the current one
	spent  int   // in it
}

// A window is 100 ms, in which 256 KiB are read: no boot writes as much.
const (
	windowLength = 100       // ms
	windowBytes  = 256 << 10 // of the console
	messageBytes = 4 << 10   // the cost of one turn of reading messages, in bytes
)

// exhausted reports whether nothing is to be read before the next window.
func (p *pace) exhausted(now int64) bool {
	if w := now / windowLength; w != p.window {
		p.window, p.spent = w, 0
	}
	return p.spent >= p.most
}

// wait is how long to wait before the next work, in milliseconds.
func (p *pace) wait(now int64) int {
	if p.exhausted(now) {
		return rest(now)
	}
	return 0
}

// sooner returns the shorter one of two timeouts.
func sooner(a, b int) int {
	if a == forever || b != forever && b < a {
		return b
	}
	return a
}

// rest is how many milliseconds the current window lasts from now on.
func rest(now int64) int { return int(windowLength - now%windowLength) }

// milliseconds returns the time of the monotonic clock.
func milliseconds() int64 {
	const monotonic = 1
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&t)), 0)
	return int64(t.Sec)*1000 + int64(t.Nsec)/1e6
}
