package main

import (
	"syscall"
	"unsafe"

	"croft/runtime/holder/kmsg"
	"croft/runtime/holder/oom"
	"croft/runtime/holder/protocol"
)

// victims are the processes of the VPS that the kernel has killed for lack of memory. Their
// names are in the messages of the host's kernel, which are read only when the kernel has counted
// one.
type victims struct {
	fd      int // of the host's /dev/kmsg; None: it cannot be read
	reader  oom.Reader
	missing int // were counted, and not found yet

	// The last one, for the next event.
	known bool
	name  [16]byte
	named int
	pid   int // inside; 0: it is not known
	anon  uint64

	record [8192]byte
	text   [1024]byte
	status [1024]byte // the start of /proc/PID/status
}

// mostRecords is how many messages one look reads: a host may write many.
const mostRecords = 8192

func (v *victims) open(c protocol.Config) {
	v.fd = protocol.None
	if c.MemoryCgroup == "" {
		return
	}
	v.reader.Scope = oom.Scope{Cgroup: c.MemoryCgroup, First: uint64(c.Owner), Size: uint64(c.IDs)}
	fd, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	const seekEnd = 2
	if _, err := syscall.Seek(fd, 0, seekEnd); err != nil {
		syscall.Close(fd)
		return
	}
	v.fd = fd
}

// look finds those that are missing, and tells of each.
func (v *victims) look() {
	for n := 0; n < mostRecords && v.missing > 0 && v.fd >= 0; n++ {
		got, err := syscall.Read(v.fd, v.record[:])
		switch err {
		case nil:
			if victim, ok := v.reader.Read(v.record[:max(got, 0)]); ok {
				v.missing--
				v.note(&victim)
			}
		case syscall.EPIPE, syscall.EINTR: // older messages were overwritten
		default: // EAGAIN: there are no more
			return
		}
	}
}

// giveUp tells of those that were not found.
func (v *victims) giveUp() {
	if v.missing == 0 {
		return
	}
	const croft = "croft: " // remark says it too
	text := append(v.text[:0], croft+"out of memory: killed processes: "...)
	text = appendDecimal(text, v.missing)
	h.kmsg.say(kmsg.Error, text)
	h.log.remark(text[len(croft):])
	v.missing = 0
}

// note tells of a process that was killed: as the kernel does, so that programs that look for that
// find it, and on the console.
func (v *victims) note(victim *oom.Victim) {
	v.known, v.anon = true, victim.Anon
	v.named = copy(v.name[:], victim.Name)
	for i, c := range v.name[:v.named] {
		if c < ' ' || c >= 127 || c == '"' || c == '\\' {
			v.name[i] = '?'
		}
	}
	v.pid = v.inside(victim.PID)

	text := append(v.text[:0], "Memory cgroup out of memory: Killed process "...)
	text = append(appendDecimal(text, v.pid), " ("...)
	text = append(append(text, v.name[:v.named]...), ") "...)
	h.kmsg.say(kmsg.Error, append(text, victim.Sizes...))

	text = append(append(v.text[:0], "out of memory: killed "...), v.name[:v.named]...)
	if v.pid != 0 {
		text = appendDecimal(append(text, " (pid "...), v.pid)
		text = append(text, ')')
	}
	text = append(appendDecimal(append(text, ", which used "...), int(v.anon>>10)), " MiB"...)
	h.log.remark(text)
}

// attributes returns what the event says of the last one.
func (v *victims) attributes() []byte {
	if !v.known {
		return nil
	}
	v.known = false
	text := append(append(v.text[:0], `","process":"`...), v.name[:v.named]...)
	if v.pid != 0 {
		text = appendDecimal(append(text, `","pid":"`...), v.pid)
	}
	return appendDecimal(append(text, `","memory-bytes":"`...), int(v.anon<<10))
}

// inside returns the pid in the VPS of a process of the host; 0 if it is gone.
func (v *victims) inside(pid int) int {
	const atCWD = -100
	path := append(appendDecimal(append(v.text[:0], "/proc/"...), pid), "/status\x00"...)
	dir := atCWD
	fd, _, errno := syscall.Syscall6(syscall.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), syscall.O_RDONLY|syscall.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	n, _ := syscall.Read(int(fd), v.status[:])
	syscall.Close(int(fd))
	return insidePID(v.status[:max(n, 0)], v.name[:v.named])
}

// insidePID reads the second number of the line NSpid off a /proc/PID/status of a program with this name; 0 if
// there is none. The first number is the pid on the host.
func insidePID(status, name []byte) int {
	const nameKey, key = "Name:\t", "NSpid:\t"
	same := false
	for from, i := 0, 0; i < len(status); i++ {
		if status[i] != '\n' {
			continue
		}
		line := status[from:i]
		from = i + 1
		switch {
		case len(line) > len(nameKey) && string(line[:len(nameKey)]) == nameKey:
			same = string(line[len(nameKey):]) == string(name)
		case len(line) > len(key) && string(line[:len(key)]) == key:
			if !same {
				return 0
			}
			n, in := 0, 0
			for _, c := range line[len(key):] {
				if c == '\t' {
					in++
				} else if in == 1 {
					n = n*10 + int(c-'0')
				}
			}
			return n
		}
	}
	return 0
}
