package view

// Unlimited stands for a limit that is not set.
const Unlimited = 1<<64 - 1

// Memory is the memory of a VPS, in bytes.
type Memory struct {
	Limit, Used         uint64 // Used is with the file cache
	SwapLimit, SwapUsed uint64
	Stat                []byte // the text of memory.stat of its cgroup
	Version1            bool   // of the cgroup
}

// totals are the numbers that several files show, in KiB.
type totals struct{ memory, used, swap, swapUsed uint64 }

// of reads what the machine has off its /proc/meminfo.
func (m *Memory) totals(machine []byte) totals {
	memory, _ := Value(machine, "MemTotal:")
	swap, _ := Value(machine, "SwapTotal:")
	t := totals{memory: min(memory, m.Limit/1024), used: m.Used / 1024, swap: min(swap, m.SwapLimit/1024)}
	t.used = min(t.used, t.memory)
	t.swapUsed = min(m.SwapUsed/1024, t.swap)
	return t
}

// stat returns a number of memory.stat in KiB: names are those of version 1 and 2
// of cgroups; "" if it has none.
func (m *Memory) stat(version1, version2 string) uint64 {
	name := version2
	if m.Version1 {
		name = version1
	}
	if name == "" {
		return 0
	}
	n, _ := Value(m.Stat, name)
	return n / 1024
}

// MemInfo appends the content of /proc/meminfo. It has the lines of the machine's
// file, in their order. A number that the kernel does not count for a cgroup is 0.
// The lines of the direct map are left out: they are about the machine.
func (m *Memory) MemInfo(dst, machine []byte) []byte {
	t := m.totals(machine)
	for rest := machine; len(rest) > 0; {
		var l []byte
		l, rest = line(rest)
		name, after := field(l)
		if len(name) == 0 || hasPrefix(name, "DirectMap") {
			continue
		}
		n, ok := m.number(string(name), t)
		if !ok {
			n = 0
			if isConstant(string(name)) {
				n, _ = Number(after)
			}
		}
		dst = append(dst, name...)
		for k := len(name); k < 16; k++ {
			dst = append(dst, ' ')
		}
		dst = appendPadded(dst, n, 8, ' ')
		if _, unit := field(after); len(unit) > 0 {
			dst = append(dst, unit...)
		}
		dst = append(dst, '\n')
	}
	return dst
}

func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

// isConstant says which lines are the same for each process of the machine.
func isConstant(name string) bool {
	return name == "VmallocTotal:" || name == "Hugepagesize:"
}

// number returns the number of a line; ok is false if the cgroup has none.
func (m *Memory) number(name string, t totals) (n uint64, ok bool) {
	switch name {
	case "MemTotal:":
		return t.memory, true
	case "MemFree:":
		return t.memory - t.used, true
	case "MemAvailable:":
		// What can be dropped at once, as the kernel estimates it.
		droppable := m.file() + m.stat("", "slab_reclaimable")
		return min(t.memory, t.memory-t.used+droppable), true
	case "Cached:":
		return m.stat("total_cache", "file"), true
	case "SwapCached:":
		return m.stat("total_swapcached", "swapcached"), true
	case "Active:":
		return m.stat("total_active_anon", "active_anon") + m.stat("total_active_file", "active_file"), true
	case "Inactive:":
		return m.stat("total_inactive_anon", "inactive_anon") + m.stat("total_inactive_file", "inactive_file"), true
	case "SwapTotal:":
		return t.swap, true
	case "SwapFree:":
		return t.swap - t.swapUsed, true
	case "Slab:":
		return m.stat("", "slab_reclaimable") + m.stat("", "slab_unreclaimable"), true
	case "CommitLimit:":
		return t.memory + t.swap, true
	case "Committed_AS:":
		return t.used + t.swapUsed, true
	}
	for _, l := range &counted {
		if l.name == name {
			return m.stat(l.version1, l.version2), true
		}
	}
	return 0, false
}

// file is the file cache that is on the kernel's lists, without what tmpfs holds.
func (m *Memory) file() uint64 {
	return m.stat("total_active_file", "active_file") + m.stat("total_inactive_file", "inactive_file")
}

// counted are lines of meminfo that are one number of memory.stat
// (Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst of Linux).
var counted = [...]struct{ name, version1, version2 string }{
	{"Active(anon):", "total_active_anon", "active_anon"},
	{"Inactive(anon):", "total_inactive_anon", "inactive_anon"},
	{"Active(file):", "total_active_file", "active_file"},
	{"Inactive(file):", "total_inactive_file", "inactive_file"},
	{"Unevictable:", "total_unevictable", "unevictable"},
	{"Dirty:", "total_dirty", "file_dirty"},
	{"Writeback:", "total_writeback", "file_writeback"},
	{"AnonPages:", "total_rss", "anon"},
	{"Mapped:", "total_mapped_file", "file_mapped"},
	{"Shmem:", "total_shmem", "shmem"},
	{"Zswap:", "", "zswap"},
	{"Zswapped:", "", "zswapped"},
	{"KReclaimable:", "", "slab_reclaimable"},
	{"SReclaimable:", "", "slab_reclaimable"},
	{"SUnreclaim:", "", "slab_unreclaimable"},
	{"KernelStack:", "", "kernel_stack"},
	{"PageTables:", "", "pagetables"},
	{"SecPageTables:", "", "sec_pagetables"},
	{"Percpu:", "", "percpu"},
	{"AnonHugePages:", "total_rss_huge", "anon_thp"},
	{"ShmemHugePages:", "", "shmem_thp"},
	{"FileHugePages:", "", "file_thp"},
}

// Swaps appends the content of /proc/swaps: one area with the swap of the VPS, or
// none.
func (m *Memory) Swaps(dst, machine []byte) []byte {
	dst = append(dst, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"...)
	t := m.totals(machine)
	if t.swap == 0 {
		return dst
	}
	dst = append(dst, "none                                    virtual\t\t"...)
	dst = append(appendNumber(dst, t.swap), "\t\t"...)
	dst = append(appendNumber(dst, t.swapUsed), "\t\t0\n"...)
	return dst
}
