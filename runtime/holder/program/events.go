package main

import (
	"syscall"
	"unsafe"

	"croft/runtime/holder/protocol"
)

// An eventLog is the log of events, which the holder shares with all others that append
// to it (package events of croft). A failure does not matter: events are for people.
type eventLog struct {
	path string
	name [4097]byte // path, ended by a zero byte
	line [1024]byte
}

// noNumber is the number of an event without one.
const noNumber = -1

func (l *eventLog) open(path string) {
	if len(path) < len(l.name) {
		l.path = path
		copy(l.name[:], path)
	}
}

// tell appends an event, with one write: the time, the text and, if there is a number,
// that, more attributes and the end of the event. A text that is too long is left out. It allocates
// no memory, because a VPS can cause many events.
func (l *eventLog) tell(text string, number int, more []byte) {
	if l.path == "" || len(text)+len(more) > len(l.line)-128 {
		return
	}
	const atCWD = -100
	const how = syscall.O_WRONLY | syscall.O_APPEND | syscall.O_CREAT | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	dir := atCWD
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&l.name)), how, 0o600, 0, 0)
	if errno != 0 {
		return
	}
	var now syscall.Timeval
	syscall.Gettimeofday(&now)
	line := append(l.line[:0], '\n')
	line = append(line, protocol.EventTime...)
	line = appendDecimal(line, int(now.Sec)*1_000_000+int(now.Usec))
	line = append(line, text...)
	if number != noNumber {
		line = append(appendDecimal(line, number), more...)
		line = append(line, protocol.EventEnd...)
	}
	syscall.Write(int(fd), append(line, '\n'))
	l.setAside(int(fd))
	syscall.Close(int(fd))
}

// setAside renames the file fd if it is large enough, unless another writer does.
func (l *eventLog) setAside(fd int) {
	var st, now syscall.Stat_t
	if syscall.Fstat(fd, &st) != nil || st.Size < protocol.EventsSize || syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return
	}
	if syscall.Lstat(l.path, &now) == nil && now.Ino == st.Ino && now.Dev == st.Dev {
		syscall.Rename(l.path, l.path+".1")
	}
}

func appendDecimal(to []byte, n int) []byte {
	if n >= 10 {
		to = appendDecimal(to, n/10)
	}
	return append(to, byte('0'+n%10))
}
