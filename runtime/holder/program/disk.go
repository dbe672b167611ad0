package main

import (
	"syscall"

	"croft/runtime/holder/protocol"
)

// A disk watches how full the disk of a VPS with a limit is.
type disk struct {
	protocol.Disk
	due  int64 // when it is looked at next, in milliseconds
	full bool  // it was told that it is nearly full, and it still is
}

// A disk is told when so much of it is in use, and again after it has been less full
// than diskRoomy between.
const (
	diskFull  = 90 // percent
	diskRoomy = 85
	// diskEvery is how often it is looked at, in milliseconds: the holder of a VPS that does
	// nothing wakes up for nothing else.
	diskEvery = 5 * 60_000
)

// open begins to watch. What is full already is told.
func (d *disk) open(cfg protocol.Config) {
	if d.Disk = cfg.Disk; d.FD > 0 {
		syscall.CloseOnExec(d.FD)
	}
}

// rest returns how many milliseconds after now there is work; forever if nothing is
// watched.
func (d *disk) rest(now int64) int {
	if d.FD <= 0 {
		return forever
	}
	return int(max(0, d.due-now))
}

// work looks at the disk when that is due.
func (d *disk) work(now int64) {
	if d.FD <= 0 || now < d.due {
		return
	}
	d.due = now + diskEvery
	h.active = true // the pages are given back afterwards
	d.look()
}

// look tells that the disk is nearly full, if that is new.
func (d *disk) look() {
	var st syscall.Statfs_t
	if d.FD <= 0 || syscall.Fstatfs(d.FD, &st) != nil {
		return
	}
	percent := max(percentOf(st.Blocks-st.Bfree, st.Blocks), percentOf(st.Files-st.Ffree, st.Files))
	if d.judge(percent) {
		h.events.tell(d.Event, percent, nil)
	}
}

// judge reports whether it is to be told that so many percent are in use.
func (d *disk) judge(percent int) bool {
	switch {
	case percent >= diskFull && !d.full:
		d.full = true
		return true
	case percent < diskRoomy:
		d.full = false
	}
	return false
}

// percentOf is used in percent of all; 0 if nothing is counted.
func percentOf(used, all uint64) int {
	if all == 0 || used > all {
		return 0
	}
	if all > 1<<56 {
		used, all = used>>8, all>>8
	}
	return int(used * 100 / all)
}
