package main

import "syscall"

// givePagesBack removes this program's code and constants from its memory. The
// kernel maps 64 KiB around each page that is touched, so without this the
// parts that only the start needs would stay. The next event gets its few pages
// back from the page cache.
func givePagesBack() {
	for _, r := range readOnly() {
		syscall.RawSyscall(syscall.SYS_MADVISE, r.from, r.to-r.from, syscall.MADV_DONTNEED)
	}
}

// A span is a part of our address space.
type span struct{ from, to uintptr }

var (
	spans     [4]span
	spanCount int
)

// readOnly returns where our own file is mapped and cannot be written to.
// That never changes, so it is looked up once.
func readOnly() []span {
	if spanCount > 0 {
		return spans[:spanCount]
	}
	maps, err := readAll("/proc/self/maps")
	if err != nil {
		return nil
	}
	for from, i := 0, 0; i < len(maps) && spanCount < len(spans); i++ {
		if maps[i] == '\n' {
			if s, ok := ownCode(maps[from:i]); ok {
				spans[spanCount] = s
				spanCount++
			}
			from = i + 1
		}
	}
	return spans[:spanCount]
}

// ownCode reads a line such as
//
//	00400000-0047d000 r-xp 00000000 fe:00 395 /var/lib/croft/bin/holder-1b2c
//
// A private mapping of a file that is not writable holds nothing but the file.
func ownCode(line []byte) (s span, ok bool) {
	field := [6]int{}
	n, in := 0, false
	for i, c := range line {
		if c == ' ' {
			in = false
		} else if !in && n < len(field) {
			field[n], in = i, true
			n++
		}
	}
	if n < 6 || line[field[5]] != '/' {
		return s, false
	}
	if perms := line[field[1] : field[1]+4]; perms[0] != 'r' || perms[1] != '-' || perms[3] != 'p' {
		return s, false
	}
	at := &s.from
	for _, c := range line[:field[1]-1] {
		switch {
		case c == '-':
			at = &s.to
		case c >= 'a':
			*at = *at<<4 | uintptr(c-'a'+10)
		default:
			*at = *at<<4 | uintptr(c-'0')
		}
	}
	return s, s.to > s.from
}
