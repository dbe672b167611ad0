package view

// A stat has the numbers of memory.stat of a cgroup that meminfo shows, in KiB. A
// number that the kernel does not count is 0.
type stat [statCount]uint64

// The numbers of a stat.
const (
	file = iota
	anon
	anonHuge
	shmem
	mapped
	dirty
	writeback
	swapCached
	inactiveAnon
	activeAnon
	inactiveFile
	activeFile
	unevictable
	kernelStack
	pageTables
	secPageTables
	percpu
	zswap
	zswapped
	fileHuge
	shmemHuge
	reclaimable
	unreclaimable
	statCount
)

// statNames are their names in memory.stat of version 1 and 2, "" if it has none
// (Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst of Linux).
var statNames = [statCount][2]string{
	file:          {"total_cache", "file"},
	anon:          {"total_rss", "anon"},
	anonHuge:      {"total_rss_huge", "anon_thp"},
	shmem:         {"total_shmem", "shmem"},
	mapped:        {"total_mapped_file", "file_mapped"},
	dirty:         {"total_dirty", "file_dirty"},
	writeback:     {"total_writeback", "file_writeback"},
	swapCached:    {"total_swapcached", "swapcached"},
	inactiveAnon:  {"total_inactive_anon", "inactive_anon"},
	activeAnon:    {"total_active_anon", "active_anon"},
	inactiveFile:  {"total_inactive_file", "inactive_file"},
	activeFile:    {"total_active_file", "active_file"},
	unevictable:   {"total_unevictable", "unevictable"},
	kernelStack:   {"", "kernel_stack"},
	pageTables:    {"", "pagetables"},
	secPageTables: {"", "sec_pagetables"},
	percpu:        {"", "percpu"},
	zswap:         {"", "zswap"},
	zswapped:      {"", "zswapped"},
	fileHuge:      {"", "file_thp"},
	shmemHuge:     {"", "shmem_thp"},
	reclaimable:   {"", "slab_reclaimable"},
	unreclaimable: {"", "slab_unreclaimable"},
}

// stat reads them off the text, in one pass: a reader waits for it.
func (m *Memory) stat() (s stat) {
	version := 1
	if m.Version1 {
		version = 0
	}
	for rest := m.Stat; len(rest) > 0; {
		var l []byte
		l, rest = line(rest)
		name, after := field(l)
		for i := range statNames {
			if n := statNames[i][version]; len(n) == len(name) && n == string(name) {
				bytes, _ := Number(after)
				s[i] = bytes / 1024
				break
			}
		}
	}
	return s
}

// number returns the number of a line of meminfo; ok is false if the cgroup has none.
func (s *stat) number(name string, t totals) (n uint64, ok bool) {
	switch name {
	case "MemTotal:":
		return t.memory, true
	case "MemFree:":
		return t.memory - t.used, true
	case "MemAvailable:":
		// What can be dropped at once, as the kernel estimates it: the file cache that is
		// on its lists, without what tmpfs holds.
		return min(t.memory, t.memory-t.used+s[activeFile]+s[inactiveFile]+s[reclaimable]), true
	case "Active:":
		return s[activeAnon] + s[activeFile], true
	case "Inactive:":
		return s[inactiveAnon] + s[inactiveFile], true
	case "SwapTotal:":
		return t.swap, true
	case "SwapFree:":
		return t.swap - t.swapUsed, true
	case "Slab:":
		return s[reclaimable] + s[unreclaimable], true
	case "CommitLimit:":
		return t.memory + t.swap, true
	case "Committed_AS:":
		return t.used + t.swapUsed, true
	}
	for i := range counted {
		if counted[i].name == name {
			return s[counted[i].number], true
		}
	}
	return 0, false
}

// counted are the lines of meminfo that are one number of a stat.
var counted = [...]struct {
	name   string
	number int
}{
	{"Cached:", file},
	{"SwapCached:", swapCached},
	{"Active(anon):", activeAnon},
	{"Inactive(anon):", inactiveAnon},
	{"Active(file):", activeFile},
	{"Inactive(file):", inactiveFile},
	{"Unevictable:", unevictable},
	{"Dirty:", dirty},
	{"Writeback:", writeback},
	{"AnonPages:", anon},
	{"Mapped:", mapped},
	{"Shmem:", shmem},
	{"Zswap:", zswap},
	{"Zswapped:", zswapped},
	{"KReclaimable:", reclaimable},
	{"SReclaimable:", reclaimable},
	{"SUnreclaim:", unreclaimable},
	{"KernelStack:", kernelStack},
	{"PageTables:", pageTables},
	{"SecPageTables:", secPageTables},
	{"Percpu:", percpu},
	{"AnonHugePages:", anonHuge},
	{"ShmemHugePages:", shmemHuge},
	{"FileHugePages:", fileHuge},
}
