package main

import (
	"syscall"
	"unsafe"
)

// A console is the master side of the VPS's console.
type console struct {
	fd       int // None: the VPS has no console
	readable bool
	buf      [4096]byte
}

func (c *console) open(fd int) {
	c.fd, c.readable = fd, fd >= 0
}

// read returns output of the VPS, at most a buffer full, and nothing if there
// is none now. EIO means that no process has the console open. That is not the
// end: the next process that opens it and writes causes a new event.
func (c *console) read() []byte {
	for c.readable {
		n, err := syscall.Read(c.fd, c.buf[:])
		if n > 0 {
			return c.buf[:n]
		}
		if err != syscall.EINTR {
			c.readable = false
		}
	}
	return nil
}

// write sends input to the VPS and returns how many bytes were taken. It takes
// less than all if no process in the VPS reads them. Without a console the
// input is dropped.
func (c *console) write(p []byte) int {
	if c.fd < 0 {
		return len(p)
	}
	for {
		n, err := syscall.Write(c.fd, p)
		switch err {
		case nil:
			return n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0
		default:
			return len(p)
		}
	}
}

func (c *console) resize(rows, cols uint16) {
	if c.fd >= 0 {
		size := [4]uint16{rows, cols}
		syscall.Syscall(syscall.SYS_IOCTL, uintptr(c.fd), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size)))
	}
}

const (
	ttyGetSession = 0x5429 // TIOCGSID
	ttyPeer       = 0x5441 // TIOCGPTPEER, kernel 4.13
	ttySteal      = syscall.TIOCSCTTY
	ttyLetGo      = syscall.TIOCNOTTY
)

// free takes the console away from init as its controlling terminal, so that a
// login there can have it. An init that opens its console as on a machine would
// become the owner of the terminal; on a machine the console is never a
// controlling terminal. If the session belongs to another process than init,
// that process uses it, and keeps it.
func (c *console) free(init int) {
	var session int32
	if c.fd < 0 || ioctl(c.fd, ttyGetSession, uintptr(unsafe.Pointer(&session))) < 0 || int(session) != init {
		return
	}
	peer := ioctl(c.fd, ttyPeer, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC)
	if peer < 0 {
		return
	}
	if ioctl(peer, ttySteal, 1) >= 0 { // we lead a session that has none
		ioctl(peer, ttyLetGo, 0)
	}
	syscall.Close(peer)
}

// ioctl returns -1 on any error.
func ioctl(fd int, request, arg uintptr) int {
	r, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, arg)
	if err != 0 {
		return -1
	}
	return int(r)
}
