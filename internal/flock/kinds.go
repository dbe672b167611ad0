package flock

// A Kind is one kind of lock that croft takes.
type Kind struct {
	Name string
	File string // RUN is the run directory, ROOT the state directory
	Held string // by whom, and while what happens
	// Waits says that its holder may wait for something that takes long. The
	// others are held for a read and a write.
	Waits bool
	Many  bool // one command may hold several of this kind
}

// Kinds of locks.
var (
	FirstBoot    = Kind{Name: "first boot", File: "RUN/locks/NAME.first-boot", Held: "by the process that waits for the boot of the VPS and runs its first-boot script", Waits: true}
	VPS          = Kind{Name: "vps", File: "RUN/locks/NAME", Held: "by the command that changes the VPS", Waits: true, Many: true}
	Life         = Kind{Name: "life", File: "RUN/locks/NAME.life", Held: "by the monitor of the VPS as long as it lives, and by the command that starts or ends it", Waits: true, Many: true}
	Draft        = Kind{Name: "draft", File: "ROOT/vps/.NAME.XXXX", Held: "while a VPS is created", Waits: true, Many: true}
	Layer        = Kind{Name: "layer", File: "ROOT/frozen/ID", Held: "while a frozen layer is filled, merged or read for a backup", Waits: true, Many: true}
	Rubbish      = Kind{Name: "rubbish", File: "ROOT/trash/NAME", Held: "while the files of a destroyed VPS are deleted or restored", Waits: true, Many: true}
	Template     = Kind{Name: "template", File: "ROOT/templates/locks/template-NAME", Held: "while a template is built, imported or pulled", Waits: true}
	Stage        = Kind{Name: "stage", File: "ROOT/templates/tmp/stage-XXXX", Held: "while files of an image are prepared", Waits: true, Many: true}
	Partial      = Kind{Name: "partial", File: "ROOT/templates/partial/DIGEST", Held: "while a blob is fetched", Waits: true, Many: true}
	Store        = Kind{Name: "store", File: "ROOT/templates/locks/store", Held: "while images are added to the store or removed from it"}
	Networks     = Kind{Name: "networks", File: "RUN/locks/_networks", Held: "while a network is created", Waits: true}
	Names        = Kind{Name: "names", File: "RUN/locks/_names", Held: "while names of VPSs are written into other VPSs", Waits: true}
	IDs          = Kind{Name: "ids", File: "/run/croft-roots/_pool", Held: "while user ids are chosen, by all state directories of the host"}
	Volumes      = Kind{Name: "volumes", File: "RUN/locks/_volumes", Held: "while a volume is created or removed, or a VPS gets it"}
	Ports        = Kind{Name: "ports", File: "RUN/locks/_ports", Held: "while ports of the host are claimed"}
	CPUs         = Kind{Name: "cpus", File: "RUN/locks/_cpus", Held: "while CPUs are chosen for a VPS"}
	NetworkTable = Kind{Name: "network", File: "RUN/locks/_network.NAME", Held: "while the table of a network is changed"}
	HostNetwork  = Kind{Name: "host network", File: "/run/croft-network.lock", Held: "while rules that networks share are repaired or removed", Waits: true}
	Cgroups      = Kind{Name: "cgroups", File: "RUN/containers/.cgroups.lock", Held: "while a cgroup is created below the common one, or that is removed", Waits: true}
	DiskImage    = Kind{Name: "disk image", File: "ROOT/vps/NAME/disk.XXXX.img", Held: "while the image is given a loop device"}
)

// Order returns all kinds. A process that holds a lock takes only locks that come
// after it, so no two commands wait for each other. A lock that is tried without
// waiting may be taken at any time.
func Order() []Kind {
	return []Kind{FirstBoot, VPS, Life, Draft, Layer, Rubbish, Template, Stage, Partial, Store, Networks, Names, Volumes, IDs, Ports, CPUs, NetworkTable, HostNetwork, Cgroups, DiskImage}
}
