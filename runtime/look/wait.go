package look

import (
	"context"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/observe"
)

// A Condition is a state of a VPS that Wait waits for.
type Condition string

// Conditions of Wait.
const (
	UntilRunning Condition = "running"
	UntilStopped Condition = "stopped"
	UntilBooted  Condition = "booted"
	UntilNetwork Condition = "network"
	UntilReboot  Condition = "reboot" // it has booted once more than at the call
)

// Wait returns when name meets the condition: fail.Timeout if it does not within
// timeout (0: no limit), fail.State if it cannot. For UntilStopped it returns the
// last end of the VPS, or nil if there was none since the host booted.
func (l Looker) Wait(ctx context.Context, name vps.Name, until Condition, timeout time.Duration) (*state.End, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return nil, err
	}
	if until == UntilNetwork && len(v.Interfaces) == 0 {
		return nil, fail.New(fail.State, "%s has no network", name).WithHint("croft wait --for booted %s", name)
	}
	run, err := l.Await(ctx, name, until, timeout, func(observe.Status) error { return nil })
	if err != nil || until != UntilStopped {
		return nil, err
	}
	return run.End, nil
}

// Interval is the time between two looks of a command that waits. The init of a
// VPS sends no event that the command could wait for.
const Interval = 50 * time.Millisecond

// Await is Wait that returns the run of the VPS when it met the condition. It
// gives up with the error of hopeless for a status.
func (l Looker) Await(ctx context.Context, name vps.Name, until Condition, timeout time.Duration, hopeless func(observe.Status) error) (state.Run, error) {
	first, err := l.Store.Run(name)
	if err != nil {
		return state.Run{}, err
	}
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		seen, err := l.Observer.Observe(name)
		if err != nil {
			return state.Run{}, err
		}
		run := seen.Run
		status, err := l.Observer.Status(seen)
		if err != nil {
			return run, err
		}
		done, err := l.reached(ctx, name, until, status, run, first.Boot)
		if done || err != nil {
			return run, err
		}
		if err := hopeless(status); err != nil {
			return run, err
		}
		select {
		case <-ctx.Done():
			return run, ctx.Err()
		case <-expired:
			return run, late(name, until, timeout)
		case <-tick.C:
		}
	}
}

func late(name vps.Name, until Condition, timeout time.Duration) error {
	if until == UntilReboot {
		return fail.New(fail.Timeout, "%s has not booted again after %s", name, timeout)
	}
	return fail.New(fail.Timeout, "%s is not %s after %s", name, until, timeout)
}

// reached reports whether a VPS of status s meets the condition. boot is the
// number of its boot when the wait began.
func (l Looker) reached(ctx context.Context, name vps.Name, until Condition, s observe.Status, run state.Run, boot int) (bool, error) {
	switch until {
	case UntilStopped:
		return s == observe.Stopped, nil
	case UntilRunning:
		return s.Up(), nil
	case UntilBooted:
		return s.Up() && l.Booted(ctx, name, run), nil
	case UntilReboot:
		return s.Up() && run.Boot != boot && l.Booted(ctx, name, run), nil
	case UntilNetwork:
		if !s.Up() || !l.Booted(ctx, name, run) {
			return false, nil
		}
		return l.answers(ctx, name)
	}
	return false, fail.New(fail.Usage, "unknown condition %q: running, stopped, booted, network or reboot", until)
}
