// Package hostlimits knows the limits of the kernel that VPSs run into, and tells
// which of them are about to be reached.
//
// Lacking is pure. Read and Set are the only functions that touch the host.
package hostlimits

import (
	"fmt"
	"math"
)

// A Limit is a setting of the kernel that all VPSs together, or each alone, may run
// into.
type Limit struct {
	Key  string // as sysctl(8) has it
	What string // what it bounds
	// Least is what the host itself or one VPS needs; Each is added for each VPS where
	// all of them share the limit.
	Least, Each int64
	Value       int64 // what to set it to, as long as that is enough
	// Raise is true if a higher value costs nothing until it is used and weakens no
	// protection of the host: croft start sets it.
	Raise bool
}

// Keys of limits.
const (
	InotifyInstances = "fs.inotify.max_user_instances"
	InotifyWatches   = "fs.inotify.max_user_watches"
	MaxKeys          = "kernel.keys.maxkeys"
	MaxKeyBytes      = "kernel.keys.maxbytes"
	PIDMax           = "kernel.pid_max"
	ThreadsMax       = "kernel.threads-max"
	Conntrack        = "net.netfilter.nf_conntrack_max"
	Terminals        = "kernel.pty.max"
	AIO              = "fs.aio-max-nr"
	OpenFiles        = "fs.file-max"
	Neighbours4      = "net.ipv4.neigh.default.gc_thresh3"
	Neighbours6      = "net.ipv6.neigh.default.gc_thresh3"
)

// Needed are the limits that have to have some value before VPSs start. Instances and
// watches of inotify are counted for the owner of a user namespace (inc_ucount in
// kernel/ucount.c), which is each VPS's own root: each VPS, and the host's root with the
// privileged ones, has as many. Keys are counted for each user id of the host
// (keyctl(2)), which no two VPSs share: root of a VPS has maxkeys for its own.
func Needed() []Limit {
	return []Limit{
		{InotifyInstances, "watching files: systemd, udev, D-Bus; for each VPS on its own", 64, 0, 1024, true},
		{InotifyWatches, "how many files are watched; for each VPS on its own", 8192, 0, 1048576, true},
		{MaxKeys, "kernel keys of one user of a VPS: systemd takes one for each service", 200, 0, 2000, true},
		{MaxKeyBytes, "the size of these keys", 20000, 0, 200000, true},
		{PIDMax, "processes of the host and all VPSs together", 4096, 512, 4194304, false},
	}
}

// Shared are the limits whose use the kernel tells.
func shared() []Limit {
	return []Limit{
		{Key: ThreadsMax, What: "processes and threads of the host and all VPSs together"},
		{Key: Conntrack, What: "connections of the host and all VPSs in the table of the firewall"},
		{Key: Terminals, What: "terminals of the host and all VPSs together"},
		{Key: AIO, What: "asynchronous I/O of all databases together"},
		{Key: OpenFiles, What: "open files of the host and all VPSs together"},
		{Key: Neighbours4, What: "neighbours in networks: each VPS has one for each IPv4 address"},
		{Key: Neighbours6, What: "neighbours in networks: each VPS has one for each IPv6 address"},
	}
}

// A State is what the kernel says: settings and their use, by key. A key that is missing
// is not known.
type State struct {
	Values map[string]int64
	// Used is the use that counts against a setting; of keys that of the user of the
	// host, other than root, who has the most.
	Used map[string]int64
}

// A Lack is a limit that is too low for the next VPS, or nearly reached.
type Lack struct {
	Limit
	Have int64
	Used int64 // 0 if the limit is too low whatever the use
	Want int64 // what to set it to
}

// Remedy is the command that sets the limit to what is wanted.
func (l Lack) Remedy() string { return fmt.Sprintf("sysctl -w %s=%d", l.Key, l.Want) }

// String says what is lacking in one line.
func (l Lack) String() string {
	if l.Used == 0 {
		return fmt.Sprintf("%s is %d (%s)", l.Key, l.Have, l.What)
	}
	return fmt.Sprintf("%d of %s=%d are in use (%s)", l.Used, l.Key, l.Have, l.What)
}

// aSystemd is about how many instances of inotify one VPS with systemd takes from the
// host's root if it is privileged, and how many keys it takes for its root.
const aSystemd = 16

// Lacking returns the limits that are too low for one more VPS, or of which more than
// nine tenths are in use.
func Lacking(s State) []Lack {
	var all []Lack
	for _, l := range append(Needed(), shared()...) {
		have, known := s.Values[l.Key]
		if !known || have <= 0 {
			continue
		}
		used := s.Used[l.Key]
		switch {
		case have < l.Least:
			all = append(all, Lack{l, have, 0, max(l.Value, l.Least)})
		case have-used < room(l.Key, have):
			all = append(all, Lack{l, have, used, higher(l, have)})
		}
	}
	return all
}

// room is how much of a limit has to be free.
func room(key string, have int64) int64 {
	if key == InotifyInstances || key == MaxKeys {
		return max(aSystemd, have/10)
	}
	return have / 10
}

func higher(l Limit, have int64) int64 {
	switch {
	case l.Value > have:
		return l.Value
	case have > math.MaxInt64/2:
		return have
	case l.Key == PIDMax:
		return 4194304 // PID_MAX_LIMIT
	}
	return 2 * have
}
