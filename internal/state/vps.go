package state

import (
	"time"

	"croft/internal/vps"
)

// Schema is the number written into every vps.json and run.json. Older ones
// are upgraded when read, newer ones refused.
const Schema = 1

// RunState says how far a VPS has come.
type RunState string

// The states that a monitor writes.
const (
	Starting RunState = "starting"
	Running  RunState = "running"
	Ended    RunState = "ended"
)

// A Run is the state of a running VPS. Only its monitor writes it, into
// run.json. A reboot of the host makes it invalid (HostBoot identifies the
// boot).
type Run struct {
	Schema   int       `json:"schema"`
	HostBoot string    `json:"hostBoot"` // /proc/sys/kernel/random/boot_id of the host
	State    RunState  `json:"state"`
	Boot     int       `json:"boot"` // how many times this VPS has booted, this one included
	Started  time.Time `json:"started"`
	Init     Process   `json:"init"`
	Monitor  Process   `json:"monitor"`
	Adopted  bool      `json:"adopted,omitempty"` // its monitor came later, and has not heard what init said before
	// Settings are those that the VPS keeps until its end. Nil: an older croft has
	// started it.
	Settings  *vps.StartSettings `json:"settings,omitempty"`
	ConsoleAt string             `json:"console,omitempty"` // the log file of this boot, below the VPS's log/
	End       *End               `json:"end,omitempty"`
	Restarts  Restarts           `json:"restarts,omitzero"`
}

// Restarts are what the restart policy of a VPS has done since a command started
// it. A reboot from inside changes nothing of it.
type Restarts struct {
	Count             int        `json:"count"`             // how often the policy has started it again
	Tried             int        `json:"tried"`             // those that count against the number of the policy
	PauseMilliseconds int64      `json:"pauseMilliseconds"` // before the last one
	Last              *End       `json:"last,omitempty"`    // the end before the last one
	At                *time.Time `json:"at,omitempty"`      // when it starts again; nil unless it waits for that
}

// Pause is the pause before the last restart.
func (r Restarts) Pause() time.Duration {
	return time.Duration(r.PauseMilliseconds) * time.Millisecond
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
