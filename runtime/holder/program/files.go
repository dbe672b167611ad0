package main

import (
	"syscall"
	"unsafe"

	"croft/runtime/holder/fuse"
	"croft/runtime/holder/protocol"
)

// files answers for the files that show the VPS its own memory, CPUs and load
// (package view). They are a FUSE filesystem, of which one request after the
// other is answered at once.
type files struct {
	fd       int // of /dev/fuse; None: there are none
	readable bool
	server   fuse.Server
	pace     pace
	slots    [slotCount]slot
	turn     uint64 // counts the uses of slots
	machine  machine
	used     bool // pages of the buffers may be in memory
	asked    bool // a request was answered since the last wait

	numbers [256]byte // random; those up to unused have not been used
	unused  int       // of 8 bytes each

	request [fuse.RequestSize]byte
	answer  [fuse.AnswerSize]byte
}

// A slot has the content of one open file, so that a program that reads it in parts
// gets the parts of one moment. If too many files are read at once, a part may come
// from a later moment.
type slot struct {
	handle uint64 // 0: free
	turn   uint64 // of its last use
	size   int
	data   [slotSize]byte
}

const (
	slotCount = 4
	slotSize  = 512 << 10 // /proc/cpuinfo of 256 CPUs; pages are used as they are filled
)

// A VPS can make its holder work for it, and that time is not its own. So all
// answers together get a part of each window.
const filesTime = 10_000 // µs of CPU time, of the 100 ms of a window

func (f *files) open(c protocol.Config) {
	f.fd, f.pace.most = protocol.None, filesTime
	if c.Files.FD <= 0 {
		return
	}
	f.fd = c.Files.FD
	syscall.CloseOnExec(c.Files.Tasks)
	f.machine.open(c)
	f.server = fuse.Server{Names: protocol.FileNames[:], Owner: uint32(c.Owner), Content: f.content, Random: f.random,
		LogCount: protocol.LogCount}
	f.readable = true
}

// work answers up to 16 requests.
func (f *files) work() {
	if !f.readable || f.pace.exhausted(milliseconds()) {
		return
	}
	before := microseconds()
	for n := 0; n < 16 && f.readable; n++ {
		f.answerOne()
	}
	f.pace.spent += int(microseconds() - before)
}

func (f *files) answerOne() {
	n, err := syscall.Read(f.fd, f.request[:])
	switch err {
	case nil:
	case syscall.EINTR, syscall.ENOENT: // the reader was interrupted before
		return
	case syscall.EAGAIN:
		f.readable = false
		return
	default: // ENODEV: the VPS has unmounted all of them
		f.close()
		return
	}
	f.used, f.asked = true, true
	head, content := f.server.Answer(f.request[:n], f.answer[:])
	if head == nil {
		return
	}
	if notice := f.server.Notice(); notice != nil {
		syscall.Write(f.fd, notice)
	}
	f.send(head, content)
}

// send writes an answer. An error means that the reader is gone.
func (f *files) send(head, content []byte) {
	parts := [2]syscall.Iovec{{Base: &head[0]}, {}}
	parts[0].SetLen(len(head))
	count := uintptr(1)
	if len(content) > 0 {
		parts[1].Base = &content[0]
		parts[1].SetLen(len(content))
		count = 2
	}
	syscall.Syscall(syscall.SYS_WRITEV, uintptr(f.fd), uintptr(unsafe.Pointer(&parts)), count)
}

func (f *files) close() {
	if f.fd >= 0 {
		syscall.Close(f.fd)
	}
	f.fd, f.readable = protocol.None, false
}

// content returns the rest of a file: see fuse.Server.
func (f *files) content(file int, handle, offset uint64) []byte {
	s := f.slot(handle)
	if s.handle != handle || offset == 0 || handle == 0 {
		s.handle = handle
		s.size = len(f.machine.file(file, s.data[:0:slotSize]))
	}
	f.turn++
	s.turn = f.turn
	return s.data[min(offset, uint64(s.size)):s.size]
}

// slot returns the one of this handle, or the one that was not used for longest. Handle 0
// has none of its own.
func (f *files) slot(handle uint64) *slot {
	oldest := &f.slots[0]
	for i := range f.slots {
		s := &f.slots[i]
		if s.handle == handle && handle != 0 {
			return s
		}
		if s.turn < oldest.turn {
			oldest = s
		}
	}
	return oldest
}

// givePagesBack empties the buffers.
func (f *files) givePagesBack() {
	if !f.used {
		return
	}
	f.used = false
	for i := range f.slots {
		s := &f.slots[i]
		s.handle, s.turn, s.size = 0, 0, 0
		forget(s.data[:])
	}
	forget(f.machine.text[:])
}

const pageSize = 4096 // of no kernel less; a larger one makes madvise(2) fail, and the pages stay

// forget gives the pages of buf back, which are zero afterwards.
func forget(buf []byte) {
	from := (uintptr(unsafe.Pointer(&buf[0])) + pageSize - 1) &^ (pageSize - 1)
	to := (uintptr(unsafe.Pointer(&buf[len(buf)-1])) + 1) &^ (pageSize - 1)
	if to > from {
		syscall.RawSyscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED)
	}
}

// random returns a number that cannot be guessed.
func (f *files) random() uint64 {
	if f.unused == 0 {
		f.unused = len(readAt(protocol.None, "/dev/urandom\x00", f.numbers[:])) / 8
	}
	f.unused--
	n := uint64(0)
	for i := range 8 {
		n = n<<8 | uint64(f.numbers[8*max(f.unused, 0)+i])
	}
	return n
}

func microseconds() int64 {
	const processCPUTime = 2
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, processCPUTime, uintptr(unsafe.Pointer(&t)), 0)
	return int64(t.Sec)*1e6 + int64(t.Nsec)/1e3
}
