package main

import (
	"syscall"

	"croft/runtime/holder/protocol"
)

const (
	maxClients = 8
	ringSize   = 16 << 10 // how far a slow client may be behind
	hello      = 4 << 10  // earlier output that a new client gets
)

// clients are the clients of the console, and the last ringSize bytes of its
// output. Each client reads them at its own pace. A client that falls further
// behind loses output, and never delays the VPS.
type clients struct {
	listen  int // None: the console is not served
	waiting bool
	all     [maxClients]client
	count   int
	ring    [ringSize]byte
	total   uint64 // bytes of output ever; the ring ends there
}

type client struct {
	fd       int // 0 is a free place
	readable bool
	writable bool
	mute     bool // has shut down its side: shown output, and not read from
	at       uint64
	decoder  protocol.Decoder
	in       [512]byte
	inFrom   int // in[inFrom:inTo] has been read and not been taken
	inTo     int
	stalled  bool // the console did not take it
}

func (cs *clients) open(fd int) {
	cs.listen, cs.waiting = fd, fd >= 0
}

func (cs *clients) busy() bool {
	for i := range cs.all {
		c := &cs.all[i]
		if c.fd != 0 && (c.readable && !c.stalled && !c.mute || c.inFrom < c.inTo && !c.stalled) {
			return true
		}
	}
	return cs.waiting
}

func (cs *clients) stalled() bool {
	for i := range cs.all {
		if cs.all[i].fd != 0 && cs.all[i].stalled {
			return true
		}
	}
	return false
}

// retry sends pending input to the console again.
func (cs *clients) retry() {
	for i := range cs.all {
		cs.all[i].stalled = false
	}
}

func (cs *clients) note(fd int, what uint32) {
	for i := range cs.all {
		c := &cs.all[i]
		if c.fd != fd {
			continue
		}
		if what&(syscall.EPOLLIN|syscall.EPOLLRDHUP) != 0 {
			c.readable = true
		}
		if what&syscall.EPOLLOUT != 0 {
			c.writable = true
		}
		if what&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			cs.drop(c)
		}
	}
}

// tooMany is sent to a client before it is turned away.
const tooMany = "[croft: 8 consoles are attached already]\r\n"

// accept lets one new client in; one too many is told so and turned away.
func (cs *clients) accept() {
	if !cs.waiting {
		return
	}
	r, _, err := syscall.Syscall6(syscall.SYS_ACCEPT4, uintptr(cs.listen), 0, 0,
		syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0, 0)
	if err != 0 {
		cs.waiting = err == syscall.EINTR || err == syscall.ECONNABORTED
		return
	}
	fd := int(r)
	h.console.free(h.cfg.Init)
	for i := range cs.all {
		if cs.all[i].fd != 0 {
			continue
		}
		cs.all[i] = client{fd: fd, at: cs.greeting(), writable: true}
		cs.count++
		if h.watch(fd, syscall.EPOLLIN|syscall.EPOLLOUT|syscall.EPOLLRDHUP|edge) != nil {
			cs.drop(&cs.all[i])
		}
		return
	}
	syscall.Write(fd, []byte(tooMany))
	syscall.Close(fd)
}

// greeting is where in the output a new client begins: a few KiB before its
// end, at the start of a line.
func (cs *clients) greeting() uint64 {
	if cs.total <= hello {
		return 0
	}
	from := cs.total - hello
	for at := from; at < cs.total; at++ {
		if cs.ring[at%ringSize] == '\n' {
			return at + 1
		}
	}
	return from
}

func (cs *clients) drop(c *client) {
	syscall.Close(c.fd)
	c.fd, c.stalled = 0, false
	cs.count--
}

// show stores output and sends it to every client that can take it now.
func (cs *clients) show(out []byte) {
	for len(out) > 0 {
		n := copy(cs.ring[cs.total%ringSize:], out)
		cs.total += uint64(n)
		out = out[n:]
	}
	if cs.count > 0 {
		cs.send()
	}
}

func (cs *clients) send() {
	for i := range cs.all {
		for c := &cs.all[i]; c.fd != 0 && c.writable && c.at < cs.total; {
			if cs.total-c.at > ringSize {
				c.at = cs.total - ringSize
			}
			from := c.at % ringSize
			n, err := syscall.Write(c.fd, cs.ring[from:min(ringSize, from+cs.total-c.at)])
			switch {
			case n > 0:
				c.at += uint64(n)
			case err == syscall.EAGAIN:
				c.writable = false
			case err != syscall.EINTR:
				cs.drop(c)
			}
		}
	}
}

// work sends pending output and reads a bounded part of the input.
func (cs *clients) work() {
	if cs.count == 0 {
		return
	}
	cs.send()
	for i := range cs.all {
		c := &cs.all[i]
		if c.fd == 0 || c.stalled {
			continue
		}
		if c.inFrom == c.inTo && c.readable && !c.mute {
			cs.read(c)
		}
		if c.fd != 0 && c.inFrom < c.inTo && !c.take() {
			cs.drop(c)
		}
	}
}

func (cs *clients) read(c *client) {
	n, err := syscall.Read(c.fd, c.in[:])
	switch {
	case n > 0:
		c.inFrom, c.inTo = 0, n
	case n == 0 && err == nil:
		c.mute = true
	case err == syscall.EAGAIN:
		c.readable = false
	case err != syscall.EINTR:
		cs.drop(c)
	}
}

// take gives the console what c has typed. It is false if that makes no sense.
func (c *client) take() bool {
	for c.inFrom < c.inTo {
		piece, used, err := c.decoder.Next(c.in[c.inFrom:c.inTo])
		if err != nil {
			return false
		}
		c.inFrom += used
		if piece.Resize {
			h.console.resize(piece.Rows, piece.Cols)
		}
		if rest := len(piece.Data) - h.console.write(piece.Data); rest > 0 {
			c.decoder.Unread(rest)
			c.inFrom -= rest
			c.stalled = true
			return true
		}
	}
	return true
}

func (cs *clients) close() {
	for i := range cs.all {
		if cs.all[i].fd != 0 {
			cs.drop(&cs.all[i])
		}
	}
}
