// Package kmsg is the log of kernel messages that a VPS has of its own: what it reads
// from /dev/kmsg and /proc/kmsg, and writes to /dev/kmsg. The semantics are those of
// kernel/printk/printk.c of Linux, as far as a process can see them.
//
// The holder links this package, so it imports no library, and nothing in it allocates
// memory.
package kmsg

import "croft/runtime/holder/fuse"

// Size is how many bytes of records are kept.
const Size = 64 << 10

// The files, by their number in a Log.
const (
	Device = iota // /dev/kmsg: each open file has a place of its own, one read is one record
	Proc          // /proc/kmsg: what one reader has read no other gets
	Files
)

// At most so many open files, and reads that wait.
const (
	maxOpen  = 64
	maxWaits = 64
)

// A Log has the last records. Its zero value has none; First and the functions are to be set
// before it is used.
type Log struct {
	// First is the number that fuse.Server has for Device.
	First int
	// Opening is called before a file is opened.
	Opening func()
	// Clock returns CLOCK_MONOTONIC in microseconds.
	Clock func() uint64
	// Answer answers a read that has waited, and Wake wakes a process that polls.
	Answer func(unique uint64, content []byte, err int32)
	Wake   func(wake uint64)

	ring       [Size]byte // of records as they are read; that of position p is at p modulo Size
	start, end uint64     // positions: bytes since the start of the VPS
	number     uint64     // of the next record

	procAt   uint64 // where the next read of Proc begins,
	procSkip int    // and how much of that record was read already

	open  [maxOpen]openFile
	opens uint64
	waits [maxWaits]fuse.Read // those with a Handle
	count int

	record [maxRecord]byte    // one record, as it is appended or read
	lines  [4 * maxLines]byte // what a read of Proc returns
}

// An openFile is one open(2) of a file.
type openFile struct {
	handle uint64 // 0: free
	file   int
	at     uint64 // the position of the next record
	offset uint64 // that the kernel asks for next, unless the reader seeks
	wake   uint64 // of the process that polls
	polled bool
}

// Begin sets the number of the first record: a VPS that gets a new log goes on counting.
func (l *Log) Begin(number uint64) { l.number = number }

// Append appends a record, and lets the readers have it.
func (l *Log) Append(priority int, text []byte) {
	record := appendRecord(l.record[:0], priority, l.number, l.Clock(), text)
	l.number++
	for l.end+uint64(len(record))-l.start > Size {
		l.start = l.next(l.start)
	}
	for _, c := range record {
		l.ring[l.end%Size] = c
		l.end++
	}
	l.tell()
}

// tell gives the last record to those that wait for it.
func (l *Log) tell() {
	waiting := l.count
	for i := 0; i < maxWaits && waiting > 0; i++ {
		r := &l.waits[i]
		if r.Handle == 0 {
			continue
		}
		waiting--
		content, err := l.read(*r)
		if err == fuse.WouldBlock {
			continue
		}
		unique := r.Unique
		l.forget(r)
		l.Answer(unique, content, err)
	}
	for i := range l.open {
		if f := &l.open[i]; f.handle != 0 && f.polled {
			f.polled = false
			l.Wake(f.wake)
		}
	}
}

// next returns the position after the record at this one.
func (l *Log) next(at uint64) uint64 {
	for at < l.end {
		at++
		if l.ring[(at-1)%Size] == '\n' {
			break
		}
	}
	return at
}

// at returns the position of the first record that begins at this one or later.
func (l *Log) at(position uint64) uint64 {
	switch {
	case position <= l.start:
		return l.start
	case position >= l.end:
		return l.end
	case l.ring[(position-1)%Size] == '\n':
		return position
	}
	return l.next(position)
}

// copyTo copies what is from this position on.
func (l *Log) copyTo(to []byte, from, end uint64) []byte {
	to = to[:min(uint64(len(to)), end-from)]
	for n := 0; n < len(to); {
		n += copy(to[n:], l.ring[(from+uint64(n))%Size:])
	}
	return to
}
