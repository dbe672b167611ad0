package protocol

// The files that the holder answers for, by their index in FileNames.
const (
	MemInfo = iota
	CPUInfo
	Stat
	LoadAvg
	Swaps
	DiskStats
	Uptime
	CPUPressure
	MemoryPressure
	IOPressure
	CPUsOnline
	CPUsPresent
	CPUsPossible
	KernelDevice
	KernelProc
	fileCount
)

// The last LogCount files are logs: those of the VPS's kernel messages.
const LogCount = fileCount - KernelDevice

// FileNames are their names in the filesystem that the holder answers for.
var FileNames = [fileCount]string{"meminfo", "cpuinfo", "stat", "loadavg", "swaps", "diskstats", "uptime",
	"pressure-cpu", "pressure-memory", "pressure-io", "online", "present", "possible", "kmsg", "proc-kmsg"}

// FilePaths say where a VPS sees them.
var FilePaths = [fileCount]string{"/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg", "/proc/swaps", "/proc/diskstats",
	"/proc/uptime", "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io", "/sys/devices/system/cpu/online",
	"/sys/devices/system/cpu/present", "/sys/devices/system/cpu/possible", "/dev/kmsg", "/proc/kmsg"}

// Files is the FUSE filesystem with the files that show a VPS its own memory, CPUs
// and load. The zero value means that it sees the host's.
type Files struct {
	FD int // of /dev/fuse, and never 0
	// Tasks is a directory: procfs of the VPS's PID namespace; or None.
	Tasks int
}

// The kinds of cgroups: those of version 2, and the controllers of version 1.
const (
	Version2 = iota
	Memory
	CPU
	CPUAcct
	CPUSet
	PIDs
	BlkIO
	cgroupKinds
)

// Cgroups are the directories of the VPS's cgroups, by their kind; "": the host has none.
type Cgroups [cgroupKinds]string

// cgroupNames are the names of the controllers of version 1, as in /proc/cgroups. That of
// version 2 is "".
var cgroupNames = [cgroupKinds]string{"", "memory", "cpu", "cpuacct", "cpuset", "pids", "blkio"}

// CgroupsOf returns the cgroups with these directories, by the names of the controllers.
func CgroupsOf(dirs map[string]string) (c Cgroups) {
	for kind, name := range cgroupNames {
		c[kind] = dirs[name]
	}
	return c
}

const cgroupKey = "cgroup."

func (c *Config) setCgroup(name, dir string) error {
	for kind, n := range cgroupNames {
		if n == name {
			c.Cgroups[kind] = dir
			return nil
		}
	}
	return Error("unknown controller " + name)
}
