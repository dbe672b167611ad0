package hostcheck

// Facts is the result of Probe. A field whose name ends in Why is the reason
// why something does not work, "" if it works.
type Facts struct {
	Kernel   string // uname -r
	Packager string // the program that installs packages: apt-get, dnf, …; "" if it is not known

	LacksCaps    []string // capabilities that this process does not have and every VPS needs
	BoundingCaps []string // capabilities that no process on this host can have
	Namespaces   []string // the kinds that the kernel has: user, pid, …
	Seccomp      bool
	AppArmor     bool // it confines something here
	Sysctls      map[string]int64

	NamespaceWhy string // a user namespace with ids of its own
	ShiftWhy     string // idmapped mounts on StateDir's filesystem
	OverlayWhy   string // an overlay of that, under the VPS's own files
	StateDir     string
	RunDir       string
	Impassable   string // the directory on the way to RunDir that other users cannot pass through; "" if there is none
	Filesystem   string // of StateDir: its type
	Device       string // that the file system of StateDir is on; "" if it is not known
	MountPoint   string // of that
	FreeBytes    uint64
	DiskWhy      string // an image with a file system, for a VPS with a disk limit
	QuotaWhy     string // project quotas, for the same
	FreeInodes   uint64 // of a filesystem that has no such limit: all ones

	Cgroups     Cgroups
	Devices     []string // nodes that VPSs could use and that are not here
	NodeWhy     string   // why croft cannot make device nodes; "" if it can
	OwnFilesWhy string   // why VPSs see the host's memory and CPUs; "" if they see their own
	Closed      []string // those of the nodes here that not every user may open
	Network     Network
	Boot        Boot

	Criu    string // the version of criu; "" if there is none that can be asked
	CriuWhy string // why croft checkpoint does not work

	VPSs    int // how many there are
	FreeIDs int // how many more could have user ids of their own
	IDsWhy  string

	Builder    string // what templates are built with
	BuilderWhy string
}

// Cgroups is how this host has its cgroups.
type Cgroups struct {
	World       string   // v2, hybrid (v1, and v2 without controllers), v1, or "" without cgroups
	Controllers []string // cpu, memory, …
	Manager     string   // who makes the VPSs': systemd or cgroupfs
	Reachable   bool     // systemd can be talked to
}

// Network has the facts about networks.
type Network struct {
	LinksWhy, FilterWhy, RulesWhy, RatesWhy, GuardWhy string
	IPTables                                          string // what iptables says of its version; "" if it is not there
	IPv6                                              bool
	Forwarding4, Forwarding6                          bool
	Modules                                           bool     // the kernel has modules that can be loaded
	Unavailable                                       []string // those that VPSs may use and that cannot be had
	Blockers                                          []Blocker
}

// A Blocker drops what VPSs send, whatever croft accepts.
type Blocker struct{ Who, Remedy string }

// Boot is what starts VPSs when the host boots.
type Boot struct {
	System    string // systemd, openrc, sysv, or "" if it is not known
	Installed bool
	Enabled   bool
	Active    bool // systemd: so that it stops VPSs when the host shuts down
}

func (f Facts) sysctl(key string) (int64, bool) {
	value, ok := f.Sysctls[key]
	return value, ok
}
