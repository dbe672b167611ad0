package main

import (
	"syscall"
	"unsafe"
)

// A console is the master side of the VPS's console.
type console struct {
	fd       int // None if there is none
	readable bool
	buf      [4096]byte
}

func (c *console) open(fd int) {
	c.fd, c.readable = fd, fd >= 0
}

// read returns what the VPS wrote, up to a buffer full; nothing when there is
// nothing now. EIO says that no process has the console open, which is no end:
// the next one that opens and writes to it makes an edge again.
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

// write gives the VPS what was typed, and returns how much of it was taken:
// less than all when nobody in the VPS reads it. Without a console it is
// thrown away.
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
