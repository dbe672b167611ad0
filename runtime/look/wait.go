package look

import (
	"context"
	"fmt"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/observe"
)

// A Condition is what Wait waits for: "running", "stopped", "booted", "network".
type Condition string

// Conditions of Wait.
const (
	UntilRunning Condition = "running"
	UntilStopped Condition = "stopped"
	UntilBooted  Condition = "booted"
	UntilNetwork Condition = "network"
	UntilReboot  Condition = "reboot" // it has booted again
)

// Wait returns when name is in the condition asked for: fail.Timeout if that
// does not happen in timeout (0 is forever), fail.State if it cannot. For
// UntilStopped it returns the last end of the VPS, which is nil if croft does
// not know of one since the host booted; else nil.
func (l Looker) Wait(ctx context.Context, name string, until Condition, timeout time.Duration) (*state.End, error) {
	if _, err := vps.ParseName(name); err != nil {
		return nil, err
	}
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

// Interval is how often a waiting command looks at what it waits for. What it
// looks at belongs to the VPS's own init, which tells nobody.
const Interval = 50 * time.Millisecond

// Await returns what run.json said when name was in the condition.
func (l Looker) Await(ctx context.Context, name string, until Condition, timeout time.Duration, hopeless func(observe.Status) error) (state.Run, error) {
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

func late(name string, until Condition, timeout time.Duration) error {
	if until == UntilReboot {
		return fail.New(fail.Timeout, "%s has not booted again after %s", name, timeout)
	}
	return fail.New(fail.Timeout, "%s is not %s after %s", name, until, timeout)
}

// reached reports whether a VPS with that status is in the condition. boot is
// the number of its boot when the wait began.
func (l Looker) reached(ctx context.Context, name string, until Condition, s observe.Status, run state.Run, boot int) (bool, error) {
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

// WarnDegraded warns of units of a booted systemd have failed.
func (l Looker) WarnDegraded(ctx context.Context, name string) {
	run, err := l.Store.Run(name)
	if err != nil || initkind.Of(proc.Executable(run.Init.PID)) != initkind.Systemd {
		return
	}
	out, err := l.Output(ctx, name, "systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")
	if err != nil {
		return
	}
	for line := range strings.Lines(out) {
		if unit, _, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			l.Warn(fmt.Sprintf("%s: unit %s failed", name, unit))
		}
	}
}
