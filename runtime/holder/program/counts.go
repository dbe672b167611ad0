package main

import (
	"syscall"

	"croft/runtime/holder/kmsg"
	"croft/runtime/holder/protocol"
)

// counts are numbers of the VPS's cgroup that the holder watches, for example of
// processes that the kernel has killed for lack of memory.
type counts struct {
	all     [protocol.MaxCounts]count
	n       int
	changes int   // an inotify descriptor, or None
	look    int   // the next one of looks; len(looks): there is nothing to look at
	due     int64 // when that is, in milliseconds
	told    int64 // the last time that events were told; 0: never
	victims victims
	buf     [1024]byte
}

type count struct {
	protocol.Count
	fd   int
	last int
	told int // what the last event had
}

// A kernel may report a change before it has counted: so the holder looks several times,
// with these pauses before, in milliseconds. The first ones are short, because a process that
// was killed is soon gone. A report meanwhile begins again with lookAgain. One event is told in
// countRest at most.
var looks = [...]int64{0, 20, 500, 500}

const (
	lookAgain = 2
	countRest = 60_000
)

// open begins to watch. A number that cannot be read is not watched.
func (c *counts) open(cfg protocol.Config) {
	c.changes, c.look = protocol.None, len(looks)
	c.victims.open(cfg)
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil || len(cfg.Counts) == 0 {
		if err == nil {
			syscall.Close(fd)
		}
		return
	}
	c.changes = fd
	for _, one := range cfg.Counts {
		file, err := syscall.Open(one.File, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		syscall.InotifyAddWatch(fd, one.File, syscall.IN_MODIFY)
		c.all[c.n] = count{Count: one, fd: file}
		last := c.value(&c.all[c.n])
		c.all[c.n].last, c.all[c.n].told = last, last
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
	switch {
	case c.look == len(looks):
		c.look, c.due = 0, now
	case c.look > lookAgain:
		c.look = lookAgain
	}
}

// rest returns how many milliseconds after now there is work; -1 if there is none.
func (c *counts) rest(now int64) int {
	rest := forever
	if c.look < len(looks) {
		rest = int(max(0, c.due-now))
	}
	if c.untold() && !c.waits() {
		rest = sooner(rest, int(max(0, c.mayTell()-now)))
	}
	return rest
}

// work looks at the numbers, and tells events, when that is due.
func (c *counts) work(now int64) {
	if c.look < len(looks) && now >= c.due {
		c.check()
		if c.look++; c.look < len(looks) {
			c.due = now + looks[c.look]
		} else {
			c.victims.giveUp()
		}
	}
	if c.untold() && !c.waits() && now >= c.mayTell() {
		c.tell(now)
	}
}

// check looks whether numbers have grown, and says so in the kernel messages of the VPS.
func (c *counts) check() {
	for i := range c.n {
		one := &c.all[i]
		now := c.value(one)
		if now <= one.last {
			continue
		}
		if one.Message == "" {
			c.victims.missing += now - one.last
		} else {
			h.kmsg.say(kmsg.Warning, appendDecimal(append(c.buf[:0], one.Message...), now))
		}
		one.last = now
	}
	c.victims.look()
}

// glance is check for a reader of the kernel messages: with version 1 the kernel does not
// report each change.
func (c *counts) glance() {
	if c.check(); c.victims.missing > 0 && c.look == len(looks) {
		c.look, c.due = 1, milliseconds()+looks[1]
	}
}

// untold reports whether there is something to tell.
func (c *counts) untold() bool {
	for i := range c.n {
		if c.all[i].told < c.all[i].last {
			return true
		}
	}
	return false
}

// waits reports whether the next event waits for the name of a process.
func (c *counts) waits() bool { return c.victims.missing > 0 && c.look < len(looks) }

// mayTell returns when the next event may be told.
func (c *counts) mayTell() int64 {
	if c.told == 0 {
		return 0
	}
	return c.told + countRest
}

// tell tells the numbers that have grown.
func (c *counts) tell(now int64) {
	for i := range c.n {
		one := &c.all[i]
		if one.told == one.last {
			continue
		}
		one.told, c.told = one.last, now
		var more []byte
		if one.Message == "" {
			more = c.victims.attributes()
		}
		h.events.tell(one.Event, one.last, more)
	}
}

// finish tells what there is to tell at the end of the VPS.
func (c *counts) finish() {
	c.check()
	c.victims.giveUp()
	c.tell(milliseconds())
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
