// Package observe answers whether a VPS runs. It asks the kernel: the life lock,
// which its monitor holds, and its init process. It takes no lock itself.
package observe

import (
	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/internal/vps"
)

// A Status is one word for what a VPS does. It is derived and never stored.
type Status string

// The statuses that list and inspect print.
const (
	Stopped  Status = "stopped"
	Starting Status = "starting"
	Running  Status = "running"
	// Restarting: it has ended, and its monitor waits before it starts it again.
	Restarting Status = "restarting"
	Stopping   Status = "stopping" // its init has ended, and its monitor removes what it left on the host
	Paused     Status = "paused"
	Orphaned   Status = "orphaned" // it runs without a monitor; the next command gives it a new one
	Broken     Status = "broken"   // its files cannot be read
)

// Up reports whether a VPS of this status has an init.
func (s Status) Up() bool { return s == Running || s == Paused || s == Orphaned }

// An Observer observes the VPSs of a store.
type Observer struct {
	Store  *state.Store
	Frozen func(name string) (bool, error)
}

// An Observation is what one look at a VPS has found. Another process can change
// the VPS at any time, unless the caller holds the lock that the change needs.
type Observation struct {
	Name      vps.Name
	Run       state.Run // what its monitor wrote last; zero if nothing since the host booted
	Monitored bool      // a monitor holds the life lock
	Alive     bool      // its init runs, as Run names it
	stopping  bool      // without an init: its monitor is removing what is left
}

// Observe looks at the VPS name.
func (o Observer) Observe(name vps.Name) (Observation, error) {
	run, err := o.Store.Run(name)
	if err != nil {
		return Observation{}, err
	}
	held, err := o.Store.LifeHeld(name)
	if err != nil {
		return Observation{}, err
	}
	return observation(name, run, held), nil
}

func observation(name vps.Name, run state.Run, held bool) Observation {
	return Observation{
		Name: name, Run: run, Monitored: held, Alive: run.State == state.Running && Alive(run.Init),
		// The monitor that wrote Run removes what is left. A new monitor has
		// another pid, or has written that it starts the VPS.
		stopping: run.State != state.Starting && Alive(run.Monitor),
	}
}

// MonitorPID returns the pid of its monitor. It is 0 without one, and while a new monitor
// has the life lock and has not written yet that it is there: what Run names has ended then.
func (o Observation) MonitorPID() int {
	if !o.Monitored || !Alive(o.Run.Monitor) {
		return 0
	}
	return o.Run.Monitor.PID
}

// Runs reports whether the VPS runs in any way, with a monitor or without one.
func (o Observation) Runs() bool { return o.Monitored || o.Alive }

// Orphaned reports whether the VPS runs without a monitor.
func (o Observation) Orphaned() bool { return o.Alive && !o.Monitored }

// EndedUnseen reports whether the init has ended and its monitor has not written
// how: it was killed before that, or is about to write it.
func (o Observation) EndedUnseen() bool { return o.Run.State == state.Running && !o.Alive }

// Restarting reports whether the VPS has ended and its monitor waits before it starts
// it again.
func (o Observation) Restarting() bool { return o.Monitored && o.waits() }

// waits reports whether the monitor wrote last that it waits before a restart.
func (o Observation) waits() bool {
	return o.Run.State == state.Ended && o.Run.Restarts.At != nil
}

// Unhandled reports whether the monitor has not done all that follows the end of the
// VPS: it has not written how that ended, or waits to start it again. If the life lock
// is free, or the caller holds it, the monitor was killed.
func (o Observation) Unhandled() bool { return o.EndedUnseen() || o.waits() }

// Same reports whether the VPS has neither started nor ended between two looks.
func (o Observation) Same(earlier Observation) bool {
	return o.Alive == earlier.Alive && o.Run.State == earlier.Run.State && o.Run.Boot == earlier.Run.Boot && o.Run.Init == earlier.Run.Init
}

// Init is the init process, the zero Identity if there is none.
func (o Observation) Init() inside.Identity {
	if !o.Alive {
		return inside.Identity{}
	}
	return inside.Identity(o.Run.Init)
}

// Status returns the status of the observed VPS. Only for a VPS with a monitor
// and an init it looks again, whether that is paused.
func (o Observer) Status(seen Observation) (Status, error) {
	switch {
	case !seen.Runs():
		return Stopped, nil
	case seen.Orphaned():
		return Orphaned, nil
	case !seen.Alive && seen.stopping:
		return Stopping, nil
	case seen.Restarting():
		return Restarting, nil
	case !seen.Alive:
		return Starting, nil
	}
	frozen, err := o.Frozen(string(seen.Name))
	if err != nil {
		return "", err
	}
	if frozen {
		return Paused, nil
	}
	return Running, nil
}

// NotRunning is the error of a command that needs a running VPS, for a VPS that
// has this status and does not run: fail.State.
func NotRunning(name vps.Name, status Status) error {
	switch status {
	case Starting:
		return fail.New(fail.State, "%s is still starting", name).WithHint("croft wait --for running %s", name)
	case Restarting:
		return fail.New(fail.State, "%s has ended and waits to be started again", name).WithHint("croft wait --for running %s", name)
	case Stopping:
		return fail.New(fail.State, "%s is shutting down", name).WithHint("croft wait --for stopped %s", name)
	}
	return fail.New(fail.State, "%s is not running", name).WithHint("croft start %s", name)
}

// NotRunning looks at name, whose init was just found to have ended, and returns
// why it cannot be used: fail.State.
func (o Observer) NotRunning(name vps.Name) error {
	seen, err := o.Observe(name)
	if err != nil {
		return err
	}
	status, err := o.Status(seen)
	if err != nil {
		return err
	}
	return NotRunning(name, status)
}

// AlreadyRunning is the error of a start of a VPS that runs, or whose life lock is
// held: fail.State.
func (o Observation) AlreadyRunning() error {
	switch {
	case o.Alive:
		return fail.New(fail.State, "%s is running already", o.Name).WithHint("croft list %s", o.Name)
	case o.stopping:
		return NotRunning(o.Name, Stopping)
	case o.Restarting():
		return NotRunning(o.Name, Restarting)
	}
	return NotRunning(o.Name, Starting)
}

// Alive reports whether process p still exists. A zombie has ended.
func Alive(p state.Process) bool { return proc.Alive(p.PID, p.StartTime) }

// ProcessOf returns the identity of process pid.
func ProcessOf(pid int) (state.Process, error) {
	s, err := proc.ReadStat(pid)
	return state.Process{PID: pid, StartTime: s.StartTime}, err
}
