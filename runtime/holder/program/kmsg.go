package main

import (
	"syscall"

	"croft/runtime/holder/fuse"
	"croft/runtime/holder/kmsg"
	"croft/runtime/holder/protocol"
)

// messages are the kernel messages of the VPS, which files serves.
type messages struct {
	on     bool
	offset int64 // of the VPS's CLOCK_MONOTONIC, in microseconds
	log    kmsg.Log
	answer [fuse.AnswerSize]byte // to a read that has waited: files.answer may be in use
}

func (m *messages) open(c protocol.Config) {
	if c.Hello == "" || h.files.fd < 0 {
		return
	}
	m.on = true
	m.log.First = protocol.KernelDevice
	m.log.Opening, m.log.Clock, m.log.Answer, m.log.Wake = m.opening, m.clock, m.late, m.wake
	if text, err := readAll("/proc/" + decimal(c.Init) + "/timens_offsets"); err == nil {
		m.offset = monotonicOffset(text)
	}
	h.files.server.Logs = &m.log
	if c.Adopted {
		// A reader that knows the numbers of the former log takes lower ones for old messages.
		m.log.Begin(less(clock(bootTime), h.files.machine.started) / 1e6)
	}
	m.say(kmsg.Info, []byte(c.Hello))
}

// opening looks for what there is to say to a program that opens the messages.
func (m *messages) opening() {
	h.counts.glance()
	h.dropped.glance(milliseconds())
}

// say appends a message of croft.
func (m *messages) say(priority int, text []byte) {
	if m.on {
		m.log.Append(priority, text)
	}
}

func (m *messages) late(unique uint64, content []byte, err int32) {
	head, content := fuse.Late(unique, content, err, m.answer[:])
	h.files.send(head, content)
}

func (m *messages) wake(number uint64) {
	syscall.Write(h.files.fd, fuse.Wake(number, m.answer[:]))
}

// clock returns CLOCK_MONOTONIC as the VPS sees it, in microseconds.
func (m *messages) clock() uint64 {
	return uint64(max(0, int64(clock(monotonic)/1e3)+m.offset))
}

// monotonicOffset reads how much the CLOCK_MONOTONIC of a time namespace is ahead, in
// microseconds, off timens_offsets (time_namespaces(7)): "monotonic SECONDS NANOSECONDS".
func monotonicOffset(text []byte) (offset int64) {
	const key = "monotonic"
	if len(text) < len(key) || string(text[:len(key)]) != key {
		return 0
	}
	sign, number, numbers, in := int64(1), int64(0), 0, false
	for _, c := range text[len(key):] {
		switch {
		case c == '-':
			sign = -1
		case c >= '0' && c <= '9':
			number, in = number*10+int64(c-'0'), true
		case in && numbers == 0:
			offset = sign * number * 1e6
			number, numbers, in = 0, 1, false
		case in:
			return offset + number/1e3
		}
	}
	return offset
}

func less(a, b uint64) uint64 { return a - min(a, b) }
