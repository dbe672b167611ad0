package view

// Units of time, in nanoseconds.
const (
	second = 1_000_000_000
	tick   = second / 100 // of /proc/stat: USER_HZ is 100 on each architecture
)

// A Time is what a VPS has used at one moment. All times are in nanoseconds.
type Time struct {
	Now, Started     uint64 // since the boot of the machine (CLOCK_BOOTTIME)
	Since1970        uint64 // the same moment
	User, System     uint64 // CPU time of the VPS
	CPUs             int    // that it sees
	Limit            uint64 // thousandths of a CPU that it can use at once
	Running, Blocked int    // its tasks that want a CPU, or wait for a disk
	Tasks            int    // all
	LastPID          int    // inside
}

func (t *Time) used() uint64   { return t.User + t.System }
func (t *Time) uptime() uint64 { return less(t.Now, t.Started) }

// A History is what has to be kept between two readings. The zero value is right for
// a VPS that has not been looked at.
type History struct {
	at, used uint64 // of the last Note
	idle     uint64 // CPU time that the VPS has left unused

	sampled, sampledUsed uint64
	load                 [3]uint64 // of the last 1, 5 and 15 minutes, in loadUnit
	begun                bool
}

// Note takes a moment into the history.
func (h *History) Note(t *Time) {
	if !h.begun {
		h.begun, h.at, h.sampled = true, t.Started, t.Started
	}
	// The unused time never falls, even if the VPS has used more at once than
	// the CPUs that it sees, or sees less of them than before.
	passed, used := less(t.Now, h.at), less(t.used(), h.used)
	h.idle += less(passed*uint64(max(t.CPUs, 1)), used)
	h.at, h.used = t.Now, t.used()
	h.sample(t)
}

// The load average, as the kernel calculates it (kernel/sched/loadavg.c): each five
// seconds the number of active tasks is mixed in. Nothing wakes up to count them,
// so the numbers for the time between two readings come from the CPU time that
// was used.
const (
	loadEvery = 5 * second
	loadUnit  = 1 << 11
)

var decay = [3]uint64{1884, 2014, 2037} // exp(-5s/1min), exp(-5s/5min), exp(-5s/15min)

func (h *History) sample(t *Time) {
	periods := less(t.Now, h.sampled) / loadEvery
	if periods == 0 {
		return
	}
	now := uint64(t.Running+t.Blocked) * loadUnit
	before := h.between(t, now)
	for i, d := range decay {
		h.load[i] = mix(h.load[i], power(d, periods-1), before)
		h.load[i] = mix(h.load[i], d, now)
	}
	h.sampled += periods * loadEvery
	h.sampledUsed = t.used()
}

// between returns how many tasks were active since the last sample, on average. If the
// VPS has used nearly all that it can, more tasks may have waited than ran, so
// those of now are the better number.
func (h *History) between(t *Time, now uint64) uint64 {
	passed := less(t.Now, h.sampled)
	mean := less(t.used(), h.sampledUsed) / 1000 * loadUnit / max(passed/1000, 1)
	if most := t.Limit * loadUnit / 1000; mean < most-most/10 {
		return mean
	}
	return max(mean, now)
}

// mix is calc_load: the old load decays, and active takes the rest of its place.
func mix(load, decay, active uint64) uint64 {
	n := load*decay + active*(loadUnit-decay)
	if active >= load {
		n += loadUnit - 1
	}
	return n / loadUnit
}

// power is factor^n, as a fraction of loadUnit.
func power(factor, n uint64) uint64 {
	result := uint64(loadUnit)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = (result*factor + loadUnit/2) / loadUnit
		}
		factor = (factor*factor + loadUnit/2) / loadUnit
	}
	return result
}

// Uptime appends the content of /proc/uptime.
func (h *History) Uptime(dst []byte, t *Time) []byte {
	dst = append(appendHundredths(dst, t.uptime()/tick), ' ')
	return append(appendHundredths(dst, h.idle/tick), '\n')
}

// LoadAvg appends the content of /proc/loadavg.
func (h *History) LoadAvg(dst []byte, t *Time) []byte {
	for _, load := range h.load {
		hundredths := (load*100 + loadUnit/2) / loadUnit
		dst = append(appendHundredths(dst, hundredths), ' ')
	}
	dst = append(appendNumber(dst, uint64(t.Running)), '/')
	dst = append(appendNumber(dst, uint64(t.Tasks)), ' ')
	return append(appendNumber(dst, uint64(t.LastPID)), '\n')
}

// Stat appends the content of /proc/stat. The kernel counts neither interrupts nor
// context switches for a cgroup, so they are 0. Each of cpus gets an equal part
// of the time.
func (h *History) Stat(dst []byte, t *Time, cpus *CPUs) []byte {
	dst = append(dst, "cpu  "...)
	dst = appendTimes(dst, t.User/tick, t.System/tick, h.idle/tick)
	count := uint64(max(cpus.Count(), 1))
	for n := cpus.from(0); n < maxCPUs; n = cpus.from(n + 1) {
		dst = appendNumber(append(dst, "cpu"...), uint64(n))
		dst = appendTimes(append(dst, ' '), t.User/count/tick, t.System/count/tick, h.idle/count/tick)
	}
	dst = append(dst, "intr 0\nctxt 0\nbtime "...)
	dst = appendNumber(dst, less(t.Since1970, t.uptime())/second)
	dst = append(dst, "\nprocesses "...)
	dst = appendNumber(dst, uint64(t.LastPID))
	dst = append(dst, "\nprocs_running "...)
	dst = appendNumber(dst, uint64(t.Running))
	dst = append(dst, "\nprocs_blocked "...)
	dst = appendNumber(dst, uint64(t.Blocked))
	return append(dst, "\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"...)
}

// appendTimes appends user, nice, system, idle, and the six numbers that follow.
func appendTimes(dst []byte, user, system, idle uint64) []byte {
	dst = append(appendNumber(dst, user), " 0 "...)
	dst = append(appendNumber(dst, system), ' ')
	return append(appendNumber(dst, idle), " 0 0 0 0 0 0\n"...)
}
