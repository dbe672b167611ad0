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

// MemInfo appends the content of /proc/meminfo. It has the lines of the machine's
// file, in their order. A number that the kernel does not count for a cgroup is 0.
// The lines of the direct map are left out: they are about the machine.
func (m *Memory) MemInfo(dst, machine []byte) []byte {
	t := m.totals(machine)
	s := m.stat()
	for rest := machine; len(rest) > 0; {
		var l []byte
		l, rest = line(rest)
		name, after := field(l)
		if len(name) == 0 || hasPrefix(name, "DirectMap") {
			continue
		}
		n, ok := s.number(string(name), t)
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
