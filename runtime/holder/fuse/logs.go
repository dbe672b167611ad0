package fuse

import "unsafe"

// Logs are files of records such as /dev/kmsg. Only Server.Owner can open them. A reader
// that has read all waits for the next record, with read(2) or poll(2): then the holder
// writes what Late and Wake return.
//
// Each error is a number of errno(3), or 0 without an error.
type Logs interface {
	// Mode returns the permissions of a file.
	Mode(file int) uint32
	// Open returns a handle for an open file, which Release ends. The flags are those
	// of open(2).
	Open(file int, flags uint32) (handle uint64, err int32)
	Release(handle uint64)
	// Size returns where the end of the log is.
	Size() uint64
	// Read returns the content for r, which is used before the next call. WouldBlock
	// means that the log remembers r and answers it later, unless r does not wait.
	Read(r Read) (content []byte, err int32)
	// Write appends a record. offset is where the kernel believes that it is.
	Write(handle, offset uint64, record []byte) (err int32)
	// Poll returns what a file is ready for, as poll(2) does. With notify the log
	// has the kernel woken for the number wake, once, when that changes.
	Poll(handle, wake uint64, notify bool) (events uint32)
	// Interrupt forgets a Read that waits. It reports false if there is none.
	Interrupt(unique uint64) bool
}

// A Read asks for Size bytes at most. Its reader has sought to Offset if that is not where its
// last read has ended.
type Read struct {
	Unique, Handle, Offset uint64
	Size                   int
	NonBlock               bool
	// Cached says that the kernel reads pages of a file, for sendfile(2).
	Cached bool
}

// WouldBlock is EAGAIN.
const WouldBlock = 11

// Errors of logs, and of waiting.
const (
	errInterrupted = 4
	errNoAddress   = 6 // ENXIO
	errInvalid     = 22
)

const (
	nonBlock   = 0x800  // O_NONBLOCK
	readOwner  = 1 << 1 // FUSE_READ_LOCKOWNER: a process reads, and not the page cache
	seekData   = 3      // SEEK_DATA
	seekHole   = 4      // SEEK_HOLE
	pollNotify = 1      // FUSE_POLL_SCHEDULE_NOTIFY
	pollAlways = 0x145  // POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
	notifyPoll = 1      // FUSE_NOTIFY_POLL
	setOwnMode = 0x7    // FATTR_MODE, FATTR_UID, FATTR_GID
)

type writeIn struct {
	handle, offset uint64
	size, _        uint32
	_              uint64
	_              [2]uint32
}

type writeOut struct{ size, _ uint32 }

type seekIn struct {
	handle, offset uint64
	whence, _      uint32
}

type pollIn struct {
	handle, wake uint64
	flags, _     uint32
}

type pollOut struct{ events, _ uint32 }

// wakeOut is struct fuse_out_header with struct fuse_notify_poll_wakeup_out.
type wakeOut struct {
	outHeader
	wake uint64
}

func (s *Server) isLog(file int) bool {
	return file >= len(s.Names)-s.LogCount && file < len(s.Names)
}

// log returns whether the request is about a log that may be open.
func (s *Server) log(a *answerer) bool {
	return s.Logs != nil && a.in.node >= firstFile && s.isLog(int(a.in.node-firstFile))
}

func (s *Server) release(a *answerer, body []byte) {
	if in := arguments[uint64](body); in != nil && s.log(a) {
		s.Logs.Release(*in)
	}
}

func (s *Server) readLog(a *answerer, in *readIn) (head, content []byte) {
	if s.Logs == nil {
		return a.fail(errIO)
	}
	content, err := s.Logs.Read(Read{Unique: a.in.unique, Handle: in.handle, Offset: in.offset, Size: min(int(in.size), MaxRead),
		NonBlock: in.fileFlags&nonBlock != 0, Cached: in.readFlags&readOwner == 0})
	if err == WouldBlock && in.fileFlags&nonBlock == 0 {
		return nil, nil
	}
	if err != 0 {
		return a.fail(err)
	}
	return a.with(content)
}

// Late returns the answer to a Read that has waited: its head, for Server.Answer's answer.
func Late(unique uint64, content []byte, err int32, answer []byte) (head, same []byte) {
	a := answerer{unique: unique, buf: answer}
	if err != 0 {
		return a.fail(err)
	}
	return a.with(content)
}

// Wake returns what wakes the kernel, which has asked for it with the number wake: see Logs.Poll.
func Wake(wake uint64, answer []byte) []byte {
	out := (*wakeOut)(unsafe.Pointer(&answer[0]))
	*out = wakeOut{outHeader{length: uint32(unsafe.Sizeof(*out)), err: notifyPoll}, wake}
	return answer[:unsafe.Sizeof(*out)]
}

func (s *Server) interrupt(a *answerer, body []byte) (head, content []byte) {
	// All other requests are answered as soon as they are read.
	in := arguments[uint64](body)
	if in == nil || s.Logs == nil || !s.Logs.Interrupt(*in) {
		return nil, nil
	}
	return Late(*in, nil, errInterrupted, a.buf)
}

func (s *Server) write(a *answerer, body []byte) (head, content []byte) {
	in := arguments[writeIn](body)
	if in == nil || !s.log(a) {
		return a.fail(errIO)
	}
	record := body[unsafe.Sizeof(*in):]
	if len(record) < int(in.size) {
		return a.fail(errIO)
	}
	if err := s.Logs.Write(in.handle, in.offset, record[:in.size]); err != 0 {
		return a.fail(err)
	}
	reply[writeOut](a).size = in.size
	return a.done()
}

// seek answers SEEK_DATA and SEEK_HOLE: the kernel knows the others. Nothing is a hole, so a log
// is read from its start.
func (s *Server) seek(a *answerer, body []byte) (head, content []byte) {
	in := arguments[seekIn](body)
	file := int(a.in.node) - firstFile
	if in == nil || file < 0 || file >= len(s.Names) || in.whence != seekData && in.whence != seekHole {
		return a.fail(errInvalid)
	}
	size := s.size(file, in.handle)
	if in.offset >= size {
		return a.fail(errNoAddress)
	}
	at := reply[uint64](a)
	*at = in.offset
	if in.whence == seekHole {
		*at = size
	}
	return a.done()
}

func (s *Server) poll(a *answerer, body []byte) (head, content []byte) {
	in := arguments[pollIn](body)
	if in == nil {
		return a.fail(errIO)
	}
	events := uint32(pollAlways)
	if s.log(a) {
		events = s.Logs.Poll(in.handle, in.wake, in.flags&pollNotify != 0)
	}
	reply[pollOut](a).events = events
	return a.done()
}

// setAttr changes nothing: what is written to a log is always appended, also after O_TRUNC.
func (s *Server) setAttr(a *answerer, body []byte) (head, content []byte) {
	in := arguments[uint32](body)
	if in == nil || !s.log(a) || *in&setOwnMode != 0 {
		return a.fail(errNotAllowed)
	}
	return s.getAttr(a, nil)
}
