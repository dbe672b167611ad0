package main

import (
	"syscall"
	"unsafe"

	"croft/runtime/holder/protocol"
)

// tasks counts which tasks of the VPS run, through procfs of its PID namespace.
type tasks struct {
	dir     int
	counted uint64 // when, in nanoseconds
	looked  int    // how many tasks this count has looked at

	running, blocked, last int

	processes, threads [4096]byte // directory entries
	stat               [512]byte
	process, thread    [24]byte // paths
}

const (
	countEvery = 1e9 // ns: the numbers are at most that old
	mostTasks  = 512 // tasks at most, in one count
)

func (t *tasks) open(dir int) { t.dir = dir }

var here = [...]byte{'.', 0}

// count counts the tasks, unless it has done so within the last second. If there are
// more tasks than it may look at, it counts in the others as many that run as in
// the first ones.
func (t *tasks) count(now uint64) {
	if t.dir < 0 || t.counted != 0 && now-t.counted < countEvery {
		return
	}
	t.counted, t.looked, t.running, t.blocked, t.last = now, 0, 0, 0, 0
	dir := openBelow(t.dir, here[:], syscall.O_RDONLY|syscall.O_DIRECTORY)
	if dir < 0 {
		return
	}
	all, seen := 0, 0 // processes
	for {
		n, err := syscall.Getdents(dir, t.processes[:])
		if err != nil || n <= 0 {
			break
		}
		for entries := t.processes[:n]; len(entries) > 0; {
			var pid []byte
			pid, entries = entry(entries)
			n, ok := number(pid)
			if !ok {
				continue
			}
			all++
			t.last = max(t.last, n)
			if t.looked < mostTasks {
				seen++
				t.lookAt(dir, append(append(t.process[:0], pid...), "/task\x00"...))
			}
		}
	}
	syscall.Close(dir)
	if seen > 0 {
		t.running, t.blocked = t.running*all/seen, t.blocked*all/seen
	}
}

// lookAt counts the threads of a process, whose directory of threads is path.
func (t *tasks) lookAt(dir int, path []byte) {
	threads := openBelow(dir, path, syscall.O_RDONLY|syscall.O_DIRECTORY)
	if threads < 0 {
		return
	}
	for t.looked < mostTasks {
		n, err := syscall.Getdents(threads, t.threads[:])
		if err != nil || n <= 0 {
			break
		}
		for entries := t.threads[:n]; len(entries) > 0 && t.looked < mostTasks; {
			var tid []byte
			tid, entries = entry(entries)
			if _, ok := number(tid); ok {
				t.looked++
				t.note(threads, append(append(t.thread[:0], tid...), "/stat\x00"...))
			}
		}
	}
	syscall.Close(threads)
}

// note reads the state of a thread off its file path.
func (t *tasks) note(dir int, path []byte) {
	fd := openBelow(dir, path, syscall.O_RDONLY)
	if fd < 0 {
		return
	}
	n, _ := syscall.Read(fd, t.stat[:])
	syscall.Close(fd)
	if rest := afterName(t.stat[:max(n, 0)]); len(rest) > 1 {
		switch rest[1] {
		case 'R':
			t.running++
		case 'D':
			t.blocked++
		}
	}
}

// entry takes the name of the first of some directory entries (getdents64(2)).
func entry(all []byte) (name, rest []byte) {
	const nameAt = 19
	length := int(all[16]) | int(all[17])<<8
	if hostIsBigEndian {
		length = int(all[17]) | int(all[16])<<8
	}
	if length < nameAt || length > len(all) {
		return nil, nil
	}
	name = all[nameAt:length]
	for i, c := range name {
		if c == 0 {
			name = name[:i]
			break
		}
	}
	return name, all[length:]
}

var one = uint16(1)

var hostIsBigEndian = *(*byte)(unsafe.Pointer(&one)) == 0

// number reads the name of a directory of procfs that is a number.
func number(name []byte) (n int, ok bool) {
	for _, c := range name {
		if c < '0' || c > '9' || n > 1<<30 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(name) > 0
}

// openBelow opens path below dir. It crosses no mount and follows no link: root
// inside may have mounted anything in its own procfs. It returns -1 on an error.
func openBelow(dir int, path []byte, flags uint64) int {
	const (
		sysOpenat2                 = 437              // on every architecture
		noMounts, noMagic, noLinks = 0x01, 0x02, 0x04 // RESOLVE_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS
	)
	how := [3]uint64{flags | syscall.O_CLOEXEC, 0, noMounts | noMagic | noLinks}
	fd, _, err := syscall.Syscall6(sysOpenat2, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&how)), 24, 0, 0)
	if err != 0 {
		return protocol.None
	}
	return int(fd)
}
