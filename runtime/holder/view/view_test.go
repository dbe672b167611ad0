package view

import (
	"strings"
	"testing"
)

const meminfo = `MemTotal:       24684084 kB
MemFree:        14775028 kB
MemAvailable:   22019392 kB
Buffers:          252848 kB
Cached:          6601624 kB
SwapTotal:       2097148 kB
SwapFree:        2097148 kB
AnonPages:       1749808 kB
Shmem:              9288 kB
SReclaimable:     801000 kB
VmallocTotal:   34359738367 kB
HugePages_Total:       7
Hugepagesize:       2048 kB
DirectMap4k:       30720 kB
Newer:              1234 kB
`

const stat1 = `cache 8388608
rss 4194304
total_cache 16777216
total_rss 8388608
total_shmem 1048576
total_inactive_file 6291456
total_active_file 8388608
`

const stat2 = `anon 8388608
file 16777216
shmem 1048576
inactive_file 6291456
active_file 8388608
slab_reclaimable 2097152
`

func TestMemInfo(t *testing.T) {
	for name, c := range map[string]struct {
		m    Memory
		want string
	}{
		"version 1": {Memory{Limit: 512 << 20, Used: 30 << 20, SwapLimit: 256 << 20, SwapUsed: 1 << 20, Stat: []byte(stat1), Version1: true}, `MemTotal:         524288 kB
MemFree:          493568 kB
MemAvailable:     507904 kB
Buffers:               0 kB
Cached:            16384 kB
SwapTotal:        262144 kB
SwapFree:         261120 kB
AnonPages:          8192 kB
Shmem:              1024 kB
SReclaimable:          0 kB
VmallocTotal:   34359738367 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
Newer:                 0 kB
`},
		"version 2, no limits": {Memory{Limit: Unlimited, Used: 30 << 20, SwapLimit: Unlimited, Stat: []byte(stat2)}, `MemTotal:       24684084 kB
MemFree:        24653364 kB
MemAvailable:   24669748 kB
Buffers:               0 kB
Cached:            16384 kB
SwapTotal:       2097148 kB
SwapFree:        2097148 kB
AnonPages:          8192 kB
Shmem:              1024 kB
SReclaimable:       2048 kB
VmallocTotal:   34359738367 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
Newer:                 0 kB
`},
		"more used than allowed, nothing counted": {Memory{Limit: 16 << 20, Used: 20 << 20, SwapLimit: 0, SwapUsed: 1 << 20}, `MemTotal:          16384 kB
MemFree:               0 kB
MemAvailable:          0 kB
Buffers:               0 kB
Cached:                0 kB
SwapTotal:             0 kB
SwapFree:              0 kB
AnonPages:             0 kB
Shmem:                 0 kB
SReclaimable:          0 kB
VmallocTotal:   34359738367 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
Newer:                 0 kB
`},
	} {
		if got := string(c.m.MemInfo(nil, []byte(meminfo))); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestSwaps(t *testing.T) {
	const head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	m := Memory{Limit: Unlimited, SwapLimit: 1 << 30, SwapUsed: 8 << 20}
	if got := string(m.Swaps(nil, []byte(meminfo))); got != head+"none                                    virtual\t\t1048576\t\t8192\t\t0\n" {
		t.Errorf("%q", got)
	}
	m.SwapLimit = 0
	if got := string(m.Swaps(nil, []byte(meminfo))); got != head {
		t.Errorf("without swap: %q", got)
	}
}

func cpus(t *testing.T, list string) *CPUs {
	var s CPUs
	if !s.Parse([]byte(list)) {
		t.Fatalf("%q is not a list of CPUs", list)
	}
	return &s
}

func TestCPUs(t *testing.T) {
	for _, list := range []string{"0", "0-3", "1,3", "0-1,62-65,127", "8191"} {
		if got := string(cpus(t, list+"\n").List(nil)); got != list+"\n" {
			t.Errorf("%s came back as %s", list, got)
		}
	}
	for _, bad := range []string{"", "\n", "x", "1-", "3-1", "8192", "1,,x", "99999999999999999999"} {
		var s CPUs
		if s.Parse([]byte(bad)) {
			t.Errorf("%q is accepted as %s", bad, s.List(nil))
		}
	}
	s := cpus(t, "0-7,64-65")
	if n := s.Count(); n != 10 {
		t.Errorf("it has %d", n)
	}
	s.And(cpus(t, "2-64"))
	if got := string(s.List(nil)); got != "2-7,64\n" {
		t.Errorf("both have %s", got)
	}
	if s.And(cpus(t, "1")); s.Count() != 7 {
		t.Error("nothing in common leaves no CPU")
	}
	s.First(2)
	if got := string(s.List(nil)); got != "2-3\n" {
		t.Errorf("the first two are %s", got)
	}
	for _, c := range []struct {
		quota, period uint64
		want          int
	}{{0, 0, 0}, {50000, 100000, 1}, {100000, 100000, 1}, {100001, 100000, 2}, {150000, 100000, 2}, {1 << 63, 1, 0}} {
		if got := Quota(c.quota, c.period); got != c.want {
			t.Errorf("%d/%d: %d", c.quota, c.period, got)
		}
	}
}

func TestCPUInfo(t *testing.T) {
	machine := "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\nmodel name\t: y\n\nprocessor\t: 2\nmodel name\t: z\n\nHardware\t: board\n"
	want := "processor\t: 1\nmodel name\t: y\n\nHardware\t: board\n"
	if got := string(cpus(t, "1").CPUInfo(make([]byte, 0, 100), []byte(machine))); got != want {
		t.Errorf("%q", got)
	}
	if got := string(cpus(t, "0-1").CPUInfo(make([]byte, 0, 40), []byte(machine))); got != "processor\t: 0\nmodel name\t: x\n\n" {
		t.Errorf("with little room: %q", got)
	}
}

func TestDiskStats(t *testing.T) {
	machine := "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8       1 sda1 1 2 3 4 5 6 7 8 9 10 11\n 259       0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11\n"
	io := "8:0 rbytes=8192 wbytes=1024 rios=2 wios=3 dbytes=512 dios=1\n8:10 rbytes=1 wbytes=1 rios=1 wios=1 dbytes=0 dios=0\n259:0\n"
	want := "   8       0 sda 2 0 16 0 3 0 2 0 0 0 0 1 0 1 0 0 0\n"
	if got := string(DiskStats(nil, []byte(machine), []byte(io))); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestStat(t *testing.T) {
	var h History
	m := Time{Now: 100 * second, Started: 40 * second, Since1970: 1_000_000 * second, User: 20 * second, System: 10 * second, CPUs: 2,
		Limit: 2000, Running: 3, Blocked: 1, Tasks: 40, LastPID: 77}
	h.Note(&m)
	want := `cpu  2000 0 1000 9000 0 0 0 0 0 0
cpu0 1000 0 500 4500 0 0 0 0 0 0
cpu3 1000 0 500 4500 0 0 0 0 0 0
intr 0
ctxt 0
btime 999940
processes 77
procs_running 3
procs_blocked 1
softirq 0 0 0 0 0 0 0 0 0 0 0
`
	if got := string(h.Stat(nil, &m, cpus(t, "0,3"))); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := string(h.Uptime(nil, &m)); got != "60.00 90.00\n" {
		t.Errorf("uptime: %q", got)
	}
}

// The unused time never falls, whatever the VPS uses and however many CPUs it sees.
func TestIdleNeverFalls(t *testing.T) {
	var h History
	m := Time{Started: second, Now: 11 * second, CPUs: 4}
	h.Note(&m)
	before := h.idle
	for _, step := range []Time{
		{Now: 12 * second, User: 30 * second, CPUs: 4}, {Now: 13 * second, User: 30 * second, CPUs: 1},
		{Now: 13 * second, User: 30 * second, CPUs: 1}, {Now: 12 * second, User: 29 * second, CPUs: 1},
	} {
		step.Started = second
		h.Note(&step)
		if h.idle < before {
			t.Errorf("%+v: %d after %d", step, h.idle, before)
		}
		before = h.idle
	}
}

func loads(h *History, m *Time) string {
	return strings.Join(strings.Fields(string(h.LoadAvg(nil, m)))[:3], " ")
}

func TestLoadAverage(t *testing.T) {
	// Two tasks run all the time, and it is read each five seconds.
	var h History
	m := Time{CPUs: 4, Limit: 4000, Running: 2}
	for n := range 12 {
		m.Now, m.User = uint64(n+1)*loadEvery, uint64(n+1)*2*loadEvery
		h.Note(&m)
	}
	if got := loads(&h, &m); got != "1.27 0.37 0.13" { // as a kernel has it after a minute
		t.Errorf("two tasks, a minute: %s", got)
	}
	// The same, but it is read once.
	h = History{}
	h.Note(&m)
	if got := loads(&h, &m); got != "1.27 0.36 0.13" {
		t.Errorf("read once: %s", got)
	}
	// Nothing runs for an hour, and it is read once.
	m.Now, m.Running = m.Now+3600*second, 0
	h.Note(&m)
	if got := loads(&h, &m); got != "0.00 0.00 0.00" && got != "0.00 0.00 0.01" {
		t.Errorf("after an hour: %s", got)
	}
	// Ten tasks share one CPU: more wait than run.
	h = History{}
	m = Time{CPUs: 1, Limit: 1000, Running: 10, Now: 900 * second, User: 899 * second}
	h.Note(&m)
	if got := loads(&h, &m); !strings.HasPrefix(got, "10.00 9.") {
		t.Errorf("ten tasks on one CPU: %s", got)
	}
}

func TestLoadAvgFormat(t *testing.T) {
	h := History{load: [3]uint64{loadUnit * 3 / 2, loadUnit / 100, 0}}
	m := Time{Running: 2, Tasks: 31, LastPID: 4711}
	if got := string(h.LoadAvg(nil, &m)); got != "1.50 0.01 0.00 2/31 4711\n" {
		t.Errorf("%q", got)
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]uint64{"7": 7, "  12 kB": 12, "18446744073709551615": 1<<64 - 1, "99999999999999999999": 1<<64 - 1, "5\n": 5} {
		if n, ok := Number([]byte(text)); n != want || !ok {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "max", "-1", " \n"} {
		if n, ok := Number([]byte(text)); ok {
			t.Errorf("%q: %d", text, n)
		}
	}
}

// The holder allocates no memory while it runs.
func TestNoMemoryIsAllocated(t *testing.T) {
	dst := make([]byte, 0, 8192)
	m := Memory{Limit: 512 << 20, Used: 30 << 20, SwapLimit: 256 << 20, Stat: []byte(stat1), Version1: true}
	when, set, text := Time{Now: 100 * second, CPUs: 2, Limit: 2000}, cpus(t, "0-1"), []byte(meminfo)
	var h History
	if n := testing.AllocsPerRun(100, func() {
		m.MemInfo(dst, text)
		m.Swaps(dst, text)
		h.Note(&when)
		h.Stat(dst, &when, set)
		h.LoadAvg(dst, &when)
		h.Uptime(dst, &when)
		set.List(dst)
		set.CPUInfo(dst, text)
		DiskStats(dst, text, text)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
