// Package doctor says what is wrong with a VPS, why, and what helps. It is pure: it
// judges facts that others have read.
//
// Text in facts comes from the VPS and can say anything. It becomes part of a cause as it
// is, and of a remedy only if it is a word that cannot be more than a name.
package doctor

import (
	"slices"

	"croft/internal/vps"
)

// A Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Failure Severity = "failure" // something does not work
	Warning Severity = "warning" // something is about to fail, or has failed and works again
)

// A Finding is one thing that is wrong. Its JSON keys are stable: docs/state.md.
type Finding struct {
	Name     vps.Name `json:"name"` // of the VPS; "" is the host
	Severity Severity `json:"severity"`
	What     string   `json:"what"`   // does not work
	Cause    string   `json:"cause"`  // in one line
	Remedy   string   `json:"remedy"` // a command, or a sentence where none can help
}

// Facts are what is known about one VPS.
type Facts struct {
	Name       vps.Name
	Privileged bool
	CapDrop    []string // capabilities that were taken from it

	Broken    string // why its files cannot be read; then nothing else is known
	Runs      bool
	Paused    bool
	Booted    bool
	ShouldRun bool
	FirstBoot string // how its first-boot script failed; "" if it did not

	// Of a VPS that does not run.
	Ended     *End       // its last end; nil if it never ran
	Obstacles []Obstacle // why it could not start now

	Console []string // the last lines of its console

	// Of one that runs.
	Unasked    string   // why the VPS could not be asked for its units; "" if it was, or has no systemd
	Asked      bool     // it was asked: Waiting and Units are all there are
	Waiting    []string // the units that its boot waits for
	Units      []Unit   // that have failed
	Memory     Use
	Disk       Use
	Inodes     Use
	HostMemory int64 // 0 if it is not known
	OOM        OOM
	PIDs       Use
	Refused    uint64 // processes that the limit has refused

	Instances Use // of inotify
	Keys      Use
	KeyBytes  Use

	Dropped []Dropped
	Silent  []string // its addresses that do not answer the host
	DNS     DNS
}

// An End is how a VPS ended.
type End struct {
	Detail      string
	Accident    bool // neither a command nor the VPS itself wanted it
	OutOfMemory bool
	Restarting  bool // it waits for its restart
}

// An Obstacle is a reason why a VPS cannot start.
type Obstacle struct {
	Why  string
	Hint string // the command that helps; may be empty
}

// A Use is what is in use of a limit; a limit of 0 is none.
type Use struct{ Used, Limit int64 }

// nearly reports whether more than n in ten are in use.
func (u Use) nearly(n int64) bool { return u.Limit > 0 && u.Used > u.Limit/10*n }

// OOM has the processes that the kernel has killed for lack of memory since the start.
type OOM struct {
	Kills   uint64
	Victims []string // the programs of the last ones, as far as they are known
}

// A Unit is a unit of systemd that has failed. The fields are those of systemctl show.
type Unit struct {
	Name    string
	Load    string // LoadState
	Result  string
	Code    int // ExecMainCode: 1 exited, 2 killed, 3 dumped core (CLD_* of waitid(2))
	Status  int // ExecMainStatus: the exit status or the signal
	Program string
	Log     []string // its last lines in the journal
}

// Dropped is what the host's filters have dropped of an interface.
type Dropped struct {
	Interface, Reason string
	Packets           uint64
	Limit             uint32 // of connections; 0 if it is not known
}

// DNS is whether the resolvers of a VPS answer.
type DNS struct {
	Servers []string // that were asked, as its /etc/resolv.conf names them
	Silent  []string // those without an answer
	None    bool     // the VPS has a network, and its /etc/resolv.conf names no resolver
}

// Findings says what is wrong with a VPS: failures first.
func Findings(f Facts) []Finding {
	if f.Broken != "" {
		return []Finding{f.failure("the VPS", "its files cannot be read: "+f.Broken, command("croft inspect %s", f.Name))}
	}
	var all []Finding
	for _, rule := range []func(Facts) []Finding{ended, boot, units, memory, processes, disk, kernel, networks, console} {
		all = append(all, rule(f)...)
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Severity.rank() - b.Severity.rank() })
	return all
}

func (s Severity) rank() int {
	if s == Failure {
		return 0
	}
	return 1
}

// Failures reports whether one of the findings is a failure.
func Failures(all []Finding) bool {
	return slices.ContainsFunc(all, func(f Finding) bool { return f.Severity == Failure })
}

func (f Facts) failure(what, cause, remedy string) Finding {
	return Finding{f.Name, Failure, what, cause, remedy}
}

func (f Facts) warning(what, cause, remedy string) Finding {
	return Finding{f.Name, Warning, what, cause, remedy}
}
