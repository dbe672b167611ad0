package kmsg

import "croft/runtime/holder/fuse"

// Errors (errno(3)).
const (
	errNoDevice = 6  // ENXIO
	errDenied   = 13 // EACCES
	errInvalid  = 22 // EINVAL
	errTooMany  = 23 // ENFILE
	errPipe     = 32 // EPIPE: records were overwritten before they were read
)

const (
	readable = 0x1 | 0x40 // POLLIN, POLLRDNORM
	missed   = 0x2 | 0x8  // POLLPRI, POLLERR

	writable = 3 // O_ACCMODE
)

// Log implements fuse.Logs.
var _ fuse.Logs = (*Log)(nil)

// Mode returns the permissions of a file.
func (l *Log) Mode(file int) uint32 {
	if file-l.First == Device {
		return 0o600
	}
	return 0o400
}

// Open makes a handle. A new reader of the device begins with the oldest record.
func (l *Log) Open(file int, flags uint32) (handle uint64, err int32) {
	if file-l.First != Device && flags&writable != 0 {
		return 0, errDenied
	}
	l.Opening()
	for i := range l.open {
		f := &l.open[i]
		if f.handle != 0 {
			continue
		}
		l.opens++
		*f = openFile{handle: l.opens*maxOpen + uint64(i), file: file - l.First, at: l.start}
		return f.handle, 0
	}
	return 0, errTooMany
}

// Release frees a handle.
func (l *Log) Release(handle uint64) {
	if f := l.find(handle); f != nil {
		*f = openFile{}
	}
	for i := range l.waits {
		if l.waits[i].Handle == handle {
			l.forget(&l.waits[i])
		}
	}
}

// find returns the open file of a handle; nil if there is none.
func (l *Log) find(handle uint64) *openFile {
	if f := &l.open[handle%maxOpen]; f.handle == handle && handle != 0 {
		return f
	}
	return nil
}

// Followed reports whether a program has a file open.
func (l *Log) Followed() bool {
	for i := range l.open {
		if l.open[i].handle != 0 {
			return true
		}
	}
	return false
}

// Size returns the position after the last record: SEEK_END leads there.
func (l *Log) Size() uint64 { return l.end }

// Read returns the content for r. A read that has to wait, and finds no place among those that
// wait, fails.
func (l *Log) Read(r fuse.Read) (content []byte, err int32) {
	content, err = l.read(r)
	if err != fuse.WouldBlock || r.NonBlock {
		return content, err
	}
	for i := range l.waits {
		if w := &l.waits[i]; w.Handle == 0 {
			*w = r
			l.count++
			return nil, err
		}
	}
	return nil, errTooMany
}

// Interrupt forgets a read that waits.
func (l *Log) Interrupt(unique uint64) bool {
	for i := range l.waits {
		if w := &l.waits[i]; w.Handle != 0 && w.Unique == unique {
			l.forget(w)
			return true
		}
	}
	return false
}

func (l *Log) forget(w *fuse.Read) {
	*w = fuse.Read{}
	l.count--
}

func (l *Log) read(r fuse.Read) (content []byte, err int32) {
	f := l.find(r.Handle)
	switch {
	case f == nil:
		return nil, errNoDevice
	case r.Cached:
		return nil, errInvalid // as in Linux: programs use read(2) then
	case f.file == Proc:
		return l.readProc(r.Size)
	}
	return l.readDevice(f, r)
}

func (l *Log) readDevice(f *openFile, r fuse.Read) (content []byte, err int32) {
	if r.Offset != f.offset { // lseek(2)
		f.offset, f.at = r.Offset, l.at(r.Offset)
	}
	if f.at < l.start {
		f.at = l.start
		return nil, errPipe
	}
	if f.at == l.end {
		return nil, fuse.WouldBlock
	}
	next := l.next(f.at)
	if next-f.at > uint64(r.Size) {
		return nil, errInvalid
	}
	content = l.copyTo(l.record[:], f.at, next)
	f.at = next
	f.offset += uint64(len(content))
	return content, 0
}

// readProc returns as many records as there is room for. If there is no room for the first
// one the next read gets its rest.
func (l *Log) readProc(size int) (content []byte, err int32) {
	if l.procAt < l.start {
		l.procAt, l.procSkip = l.start, 0
	}
	to := l.lines[:0]
	for at := l.procAt; at < l.end; at = l.procAt {
		next := l.next(at)
		if len(to)+maxLines > cap(to) {
			break
		}
		before := len(to)
		to = appendLines(to, l.copyTo(l.record[:], at, next))
		copy(to[before:], to[before+l.procSkip:])
		to = to[:len(to)-l.procSkip]
		if len(to) <= size {
			l.procAt, l.procSkip = next, 0
			continue
		}
		if before == 0 {
			l.procSkip += size
			return to[:size], 0
		}
		return to[:before], 0
	}
	if len(to) == 0 {
		return nil, fuse.WouldBlock
	}
	return to, 0
}

// Write appends a record of a process inside.
func (l *Log) Write(handle, offset uint64, record []byte) (err int32) {
	f := l.find(handle)
	if f == nil || f.file != Device {
		return errNoDevice
	}
	if len(record) > MaxText {
		return errInvalid
	}
	// The kernel moves the place for reading too: that is not the reader's will.
	f.offset = offset + uint64(len(record))
	priority, text := priorityOf(record)
	for len(text) > 0 && text[len(text)-1] == '\n' {
		text = text[:len(text)-1]
	}
	l.Append(priority, text)
	return 0
}

// Poll returns what a file is ready for.
func (l *Log) Poll(handle, wake uint64, notify bool) (events uint32) {
	f := l.find(handle)
	if f == nil {
		return missed
	}
	if notify {
		f.wake, f.polled = wake, true
	}
	at := f.at
	if f.file == Proc {
		at = max(l.procAt, l.start)
	}
	switch {
	case at < l.start:
		return readable | missed
	case at < l.end:
		return readable
	}
	return 0
}
