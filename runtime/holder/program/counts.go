package main

import (
	"syscall"

	"croft/runtime/holder/protocol"
)

// counts are numbers of the VPS's cgroup that the holder watches, for example of
// processes that the kernel has killed for lack of memory.
type counts struct {
	all     [protocol.MaxCounts]count
	n       int
	changes int   // an inotify descriptor, or None
	tries   int   // how often to look still
	due     int64 // when, in milliseconds
	told    int64 // the last time that an event was told; 0: never
	buf     [1024]byte
}

type count struct {
	protocol.Count
	fd   int
	last int
}

// A kernel may report a change before it has counted: so the holder looks several times,
// with a pause. It tells one event in countRest at most, in milliseconds.
const (
	countTries = 4
	countPause = 500
	countRest  = 60_000
)

// open begins to watch. A number that cannot be read is not watched.
func (c *counts) open(all []protocol.Count) {
	c.changes = protocol.None
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil || len(all) == 0 {
		if err == nil {
			syscall.Close(fd)
		}
		return
	}
	c.changes = fd
	for _, one := range all {
		file, err := syscall.Open(one.File, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		syscall.InotifyAddWatch(fd, one.File, syscall.IN_MODIFY)
		c.all[c.n] = count{one, file, 0}
		c.all[c.n].last = c.value(&c.all[c.n])
		c.n++
	}
}

// note is for a report that a number may have changed.
func (c *counts) note(now int64) {
	for {
		if n, err := syscall.Read(c.changes, c.buf[:]); n <= 0 || err != nil {
			break
		}
	}
	if c.tries == 0 {
		c.due = now + countPause
		if c.told != 0 {
			c.due = max(c.due, c.told+countRest)
		}
	}
	c.tries = countTries
}

// rest returns how many milliseconds after now there is work; -1 if there is none.
func (c *counts) rest(now int64) int {
	if c.tries == 0 {
		return -1
	}
	return int(max(0, c.due-now))
}

// work looks at the numbers when that is due.
func (c *counts) work(now int64) {
	if c.tries == 0 || now < c.due {
		return
	}
	c.tries--
	c.due = now + countPause
	if c.check() {
		c.tries, c.told = 0, now
	}
}

// check tells the numbers that have grown. It reports whether there are any.
func (c *counts) check() (grown bool) {
	for i := range c.n {
		one := &c.all[i]
		if now := c.value(one); now > one.last {
			one.last = now
			h.events.tell(one.Event, now)
			grown = true
		}
	}
	return grown
}

// value reads a number; 0 if it is not there.
func (c *counts) value(one *count) int {
	n, err := syscall.Pread(one.fd, c.buf[:], 0)
	if err != nil || n <= 0 {
		return 0
	}
	return valueOf(c.buf[:n], one.Key)
}

// valueOf returns the number of a key in lines of "KEY NUMBER"; 0 if there is none.
func valueOf(text []byte, key string) int {
	for from, i := 0, 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '\n' {
			continue
		}
		line := text[from:i]
		from = i + 1
		if len(line) <= len(key) || string(line[:len(key)]) != key || line[len(key)] != ' ' {
			continue
		}
		number := 0
		for _, digit := range line[len(key)+1:] {
			if digit < '0' || digit > '9' || number > 1<<53 {
				return 0
			}
			number = number*10 + int(digit-'0')
		}
		return number
	}
	return 0
}
