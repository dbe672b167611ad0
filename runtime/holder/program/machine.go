package main

import (
	"syscall"
	"unsafe"

	"croft/runtime/holder/protocol"
	"croft/runtime/holder/view"
)

// A machine reads what the files of the VPS are made from: the files of the host and
// those of the VPS's cgroups.
type machine struct {
	cgroups [len(protocol.Cgroups{})]int // their directories; None: the host has none of this kind
	tasks   tasks
	started uint64 // when init was, in nanoseconds after the boot of the host
	history view.History
	cpus    view.CPUs
	online  view.CPUs

	text   [512 << 10]byte // of a file of the host
	small  [16 << 10]byte  // of a file of a cgroup
	number [64]byte
}

func (m *machine) open(c protocol.Config) {
	for kind, dir := range c.Cgroups {
		m.cgroups[kind] = protocol.None
		if dir == "" {
			continue
		}
		if fd, err := syscall.Open(dir, oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0); err == nil {
			m.cgroups[kind] = fd
		}
	}
	m.tasks.open(c.Files.Tasks)
	stat, err := readAll("/proc/" + decimal(c.Init) + "/stat")
	if err == nil {
		m.started = startTime(stat)
	}
}

// file appends the content of the file with this index to dst. If the kernel cannot
// give its numbers, it is empty.
func (m *machine) file(index int, dst []byte) []byte {
	switch index {
	case protocol.MemInfo:
		memory := m.memory()
		return memory.MemInfo(dst, m.host("/proc/meminfo\x00"))
	case protocol.Swaps:
		memory := m.memory()
		return memory.Swaps(dst, m.host("/proc/meminfo\x00"))
	case protocol.CPUInfo:
		m.visible()
		return m.cpus.CPUInfo(dst, m.host("/proc/cpuinfo\x00"))
	case protocol.Stat:
		t := m.time()
		m.history.Note(&t)
		return m.history.Stat(dst, &t, &m.cpus)
	case protocol.LoadAvg:
		t := m.time()
		m.history.Note(&t)
		return m.history.LoadAvg(dst, &t)
	case protocol.Uptime:
		t := m.time()
		m.history.Note(&t)
		return m.history.Uptime(dst, &t)
	case protocol.DiskStats:
		io := m.cgroup(m.kind(protocol.BlkIO), "io.stat\x00", m.small[:])
		return view.DiskStats(dst, m.host("/proc/diskstats\x00"), io)
	case protocol.CPUPressure:
		return append(dst, m.cgroup(protocol.Version2, "cpu.pressure\x00", m.small[:])...)
	case protocol.MemoryPressure:
		return append(dst, m.cgroup(protocol.Version2, "memory.pressure\x00", m.small[:])...)
	case protocol.IOPressure:
		return append(dst, m.cgroup(protocol.Version2, "io.pressure\x00", m.small[:])...)
	case protocol.CPUsOnline, protocol.CPUsPresent:
		m.visible()
		return m.cpus.List(dst)
	case protocol.CPUsPossible:
		// A program can run on each CPU of the set, whatever its quota. A memory
		// allocator with an area for each CPU that is possible relies on it.
		m.allowed()
		return m.cpus.List(dst)
	}
	return dst
}

// kind returns which cgroup has the controller: its own of version 1, or that of
// version 2.
func (m *machine) kind(controller int) int {
	if m.cgroups[controller] >= 0 {
		return controller
	}
	return protocol.Version2
}

func (m *machine) memory() view.Memory {
	kind := m.kind(protocol.Memory)
	v := view.Memory{Limit: view.Unlimited, SwapLimit: view.Unlimited, Version1: kind == protocol.Memory}
	if v.Version1 {
		v.Limit = m.limit(kind, "memory.limit_in_bytes\x00")
		v.Used = m.value(kind, "memory.usage_in_bytes\x00")
		both := m.limit(kind, "memory.memsw.limit_in_bytes\x00")
		if used, ok := m.read(kind, "memory.memsw.usage_in_bytes\x00"); ok {
			v.SwapUsed = used - min(used, v.Used)
		} else {
			v.SwapLimit = 0 // this host does not count swap
		}
		if both != view.Unlimited {
			v.SwapLimit = both - min(both, v.Limit)
		}
	} else {
		v.Limit = m.limit(kind, "memory.max\x00")
		v.Used = m.value(kind, "memory.current\x00")
		v.SwapLimit = m.limit(kind, "memory.swap.max\x00")
		v.SwapUsed = m.value(kind, "memory.swap.current\x00")
	}
	v.Stat = m.cgroup(kind, "memory.stat\x00", m.small[:])
	return v
}

// allowed sets m.cpus to those that the VPS may run on.
func (m *machine) allowed() {
	m.online.Parse(m.host("/sys/devices/system/cpu/online\x00"))
	kind := m.kind(protocol.CPUSet)
	name := "cpuset.cpus.effective\x00"
	if kind == protocol.CPUSet {
		name = "cpuset.effective_cpus\x00"
	}
	if !m.cpus.Parse(m.cgroup(kind, name, m.small[:])) {
		m.cpus = m.online
	}
	m.cpus.And(&m.online)
}

// visible sets m.cpus to those that the VPS sees, and returns how much of them it can
// use, in thousandths of a CPU.
func (m *machine) visible() uint64 {
	m.allowed()
	quota, period := m.quota()
	n := view.Quota(quota, period)
	if n == 0 || n > m.cpus.Count() {
		return uint64(m.cpus.Count()) * 1000
	}
	m.cpus.First(n)
	return quota * 1000 / period
}

// quota returns the limit of CPU time, in microseconds; 0, 0 if there is none.
func (m *machine) quota() (quota, period uint64) {
	kind := m.kind(protocol.CPU)
	if kind == protocol.CPU {
		quota, ok := m.read(kind, "cpu.cfs_quota_us\x00") // -1 is no number
		if !ok {
			return 0, 0
		}
		return quota, m.value(kind, "cpu.cfs_period_us\x00")
	}
	text := m.cgroup(kind, "cpu.max\x00", m.number[:])
	quota, ok := view.Number(text)
	if !ok {
		return 0, 0
	}
	for i, c := range text {
		if c == ' ' {
			period, _ = view.Number(text[i:])
		}
	}
	return quota, period
}

func (m *machine) time() view.Time {
	limit := m.visible()
	t := view.Time{Now: clock(bootTime), Since1970: clock(realTime), Started: m.started, CPUs: m.cpus.Count(), Limit: limit}
	if kind := m.kind(protocol.CPUAcct); kind == protocol.CPUAcct {
		t.User, t.System = m.value(kind, "cpuacct.usage_user\x00"), m.value(kind, "cpuacct.usage_sys\x00")
	} else {
		stat := m.cgroup(kind, "cpu.stat\x00", m.small[:])
		user, _ := view.Value(stat, "user_usec")
		system, _ := view.Value(stat, "system_usec")
		t.User, t.System = user*1000, system*1000
	}
	m.tasks.count(t.Now)
	t.Running, t.Blocked, t.LastPID = m.tasks.running, m.tasks.blocked, m.tasks.last
	t.Tasks = max(int(m.value(m.kind(protocol.PIDs), "pids.current\x00")), t.Running)
	return t
}

// limit returns a limit in bytes; view.Unlimited if there is none. "max" is no number.
// Version 1 has the largest whole number of pages for it.
func (m *machine) limit(kind int, name string) uint64 {
	n, ok := m.read(kind, name)
	if !ok || n >= 1<<63-1<<16 {
		return view.Unlimited
	}
	return n
}

func (m *machine) value(kind int, name string) uint64 {
	n, _ := m.read(kind, name)
	return n
}

// read returns the number in a file of a cgroup.
func (m *machine) read(kind int, name string) (uint64, bool) {
	return view.Number(m.cgroup(kind, name, m.number[:]))
}

// cgroup reads a file of a cgroup into buf. It is empty if there is none. The kernel
// makes such a file in one piece, so one read(2) gets all of it.
func (m *machine) cgroup(kind int, name string, buf []byte) []byte {
	if m.cgroups[kind] < 0 {
		return nil
	}
	fd := openAt(m.cgroups[kind], name, syscall.O_RDONLY)
	if fd < 0 {
		return nil
	}
	n, err := syscall.Read(fd, buf)
	for err == syscall.EINTR {
		n, err = syscall.Read(fd, buf)
	}
	syscall.Close(fd)
	return buf[:max(n, 0)]
}

// host reads a file of the host.
func (m *machine) host(path string) []byte { return readAt(protocol.None, path, m.text[:]) }

// readAt reads as much of a file as buf has room for. name ends with a zero.
func readAt(dir int, name string, buf []byte) []byte {
	fd := openAt(dir, name, syscall.O_RDONLY)
	if fd < 0 {
		return nil
	}
	size := 0
	for size < len(buf) {
		n, err := syscall.Read(fd, buf[size:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		size += n
	}
	syscall.Close(fd)
	return buf[:size]
}

// openAt is openat(2), without the copy of the name that package syscall makes. It
// returns -1 on an error.
func openAt(dir int, name string, flags int) int {
	fd, _, err := syscall.Syscall6(syscall.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(unsafe.StringData(name))), uintptr(flags|syscall.O_CLOEXEC), 0, 0, 0)
	if err != 0 {
		return -1
	}
	return int(fd)
}

const (
	oPath     = 0x200000 // O_PATH
	realTime  = 0        // CLOCK_REALTIME
	monotonic = 1        // CLOCK_MONOTONIC
	bootTime  = 7        // CLOCK_BOOTTIME
)

// clock returns the time of a clock in nanoseconds.
func clock(which uintptr) uint64 {
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, which, uintptr(unsafe.Pointer(&t)), 0)
	return uint64(t.Sec)*1e9 + uint64(t.Nsec)
}

// startTime reads when a process started off its /proc/PID/stat (proc_pid_stat(5)):
// field 22, in ticks of 10 ms after the boot of the host.
func startTime(stat []byte) uint64 {
	rest := afterName(stat)
	for field := 2; field < 22; field++ {
		at := 0
		for at < len(rest) && rest[at] != ' ' {
			at++
		}
		rest = rest[min(at+1, len(rest)):]
	}
	n, _ := view.Number(rest)
	return n * 1e7
}

// afterName returns what follows the name of the process in parentheses, which may
// contain anything.
func afterName(stat []byte) []byte {
	for i := len(stat) - 1; i >= 0; i-- {
		if stat[i] == ')' {
			return stat[i+1:]
		}
	}
	return nil
}
