package state

import "time"

// Schema is the number written into every vps.json and run.json. Older ones
// are upgraded when read, newer ones refused.
const Schema = 1

// A VPS is what a VPS should be: the content of vps.json. Addresses are not
// in it, since the network's own table says who has which (networks/NAME.json).
type VPS struct {
	Schema     int               `json:"schema"`
	Name       string            `json:"name"`
	UUID       string            `json:"uuid"`
	Created    time.Time         `json:"created"`
	Template   Template          `json:"template"`
	IDs        IDRange           `json:"ids"`                  // zero: it is privileged
	Privileged bool              `json:"privileged,omitempty"` // it has no user namespace: its root is the host's
	Hostname   string            `json:"hostname"`
	Interfaces []Interface       `json:"interfaces,omitempty"`
	Limits     Limits            `json:"limits"`
	DNS        DNS               `json:"dns"`
	Firewall   Firewall          `json:"firewall,omitzero"`
	Routing    Routing           `json:"routing,omitzero"`
	Published  []Publication     `json:"published,omitempty"` // ports of the host that lead here
	Sysctls    map[string]string `json:"sysctls,omitempty"`
	Allow      []string          `json:"allow,omitempty"`              // system calls that are denied by default
	Env        []string          `json:"env,omitempty"`                // for init: NAME=value
	Ephemeral  bool              `json:"ephemeral,omitempty"`          // made by run --rm
	Runner     Runner            `json:"runner,omitzero"`              // an ephemeral VPS ends with it
	OnBoot     OnBoot            `json:"onboot,omitempty"`             // whether a boot of the host starts it
	BootOrder  int               `json:"bootOrder,omitempty"`          // higher ones are started first, and stopped last
	StopAfter  int               `json:"stopTimeoutSeconds,omitempty"` // what a stop has; 0 is the default
	Labels     map[string]string `json:"labels,omitempty"`
	// What it was called, from the moment before a rename until everything
	// knows it by its new name: the tables may know the old one.
	RenamedFrom string `json:"renamedFrom,omitempty"`
}

// A Runner is the process that an ephemeral VPS ends with, in one boot of the
// host.
type Runner struct {
	HostBoot  string `json:"hostBoot"`
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"`
}

// A Template names the image that a VPS was made from. Digest is the one of
// its manifest, and is what counts; Name is what the user typed.
type Template struct {
	Name   string   `json:"name"`
	Digest string   `json:"digest"`
	Layers []string `json:"layers"` // diff ids, lowest first
}

// An IDRange is the host's user and group ids that the VPS's 0..Size-1 are.
type IDRange struct {
	First uint32 `json:"first"`
	Size  uint32 `json:"size"`
}

// An Interface is a link inside the VPS and the network that it is plugged into.
type Interface struct {
	Name    string `json:"name"`    // inside: eth0
	Network string `json:"network"` // networks/NAME.json
	Rate    Rate   `json:"rate,omitzero"`
}

// A Rate is what an interface may carry, in bits per second; zero means
// unlimited.
type Rate struct {
	In  uint64 `json:"inBitsPerSecond,omitempty"`  // to the VPS
	Out uint64 `json:"outBitsPerSecond,omitempty"` // from it
}

// Limits of a VPS; zero means unlimited, but for those with a default.
type Limits struct {
	Memory    int64 `json:"memoryBytes,omitempty"` // 0 is a default by the host, -1 no limit
	Swap      int64 `json:"swapBytes,omitempty"`   // swap alone, not memory+swap; -1 none
	MilliCPUs int64 `json:"milliCpus,omitempty"`   // 1500 is one and a half CPUs
	PIDs      int64 `json:"pids,omitempty"`        // 0 is a default by the host, -1 no limit
}

// DNS is what resolv.conf inside should say. Empty Servers means the host's
// own upstream resolvers.
type DNS struct {
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
}

// OnBoot says whether a boot of the host starts a VPS.
type OnBoot string

// What can be said of that.
const (
	OnBootLast OnBoot = ""    // if it should have been running when the host went down
	OnBootYes  OnBoot = "yes" // whatever it did
	OnBootNo   OnBoot = "no"
)

// RunState says how far a VPS has come.
type RunState string

// The states that a monitor writes.
const (
	Starting RunState = "starting"
	Running  RunState = "running"
	Ended    RunState = "ended"
)

// A Run is what a VPS is doing, written by its monitor alone into run.json,
// which a reboot of the host makes worthless (HostBoot says which boot it was).
type Run struct {
	Schema    int       `json:"schema"`
	HostBoot  string    `json:"hostBoot"` // /proc/sys/kernel/random/boot_id of the host
	State     RunState  `json:"state"`
	Boot      int       `json:"boot"` // how many times this VPS has booted, this one included
	Started   time.Time `json:"started"`
	Init      Process   `json:"init"`
	Monitor   Process   `json:"monitor"`
	Adopted   bool      `json:"adopted,omitempty"` // its monitor came later, and has not heard what init said before
	ConsoleAt string    `json:"console,omitempty"` // the log file of this boot, below the VPS's log/
	End       *End      `json:"end,omitempty"`
}

// A Process is named by its pid and start time (field 22 of /proc/PID/stat,
// clock ticks since boot), so that a pid used again is not mistaken for it.
type Process struct {
	PID       int    `json:"pid,omitempty"`
	StartTime uint64 `json:"startTime,omitempty"`
}

// An End is how a VPS ended.
type End struct {
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`           // halted, rebooted, exited, killed, failed, unknown
	Status int       `json:"status"`           // exit status of init; 128+n if a signal ended it
	Detail string    `json:"detail,omitempty"` // one line for a person
	// OutOfMemory is whether it was killed after the kernel had killed a process
	// of the VPS because its memory limit was reached.
	OutOfMemory bool `json:"outOfMemory,omitempty"`
}
