package runtime

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/inits"
	"croft/runtime/paths"
)

// booted reports whether the running VPS's init has finished booting: it said
// so (sd_notify(3)), or, for those that never do, its scripts have ended and
// left their mark: OpenRC a softlevel, sysvinit a runlevel in utmp, runit its
// supervisor, an inittab of croft's /run/booted. An init that leaves no mark has
// booted when it has settled. An init that has booted is not asked again. One that does
// not answer before ctx is done has not booted.
func (m *Manager) booted(ctx context.Context, name string, run state.Run) bool {
	if paths.Exists(paths.Booted(m.store, name)) {
		return true
	}
	if run.Init.PID == 0 {
		return false
	}
	kind := initkind.Of(proc.Executable(run.Init.PID))
	switch {
	case kind == initkind.Croft:
		return true
	case kind == initkind.Systemd && !run.Adopted:
		return false // the command itself reports that
	case m.knownUp(name, run.Init):
		return true
	case ctx.Err() != nil:
		return false
	}
	up := m.isUp(ctx, name, run.Init, kind)
	if up {
		m.noteUp(name, run.Init)
	}
	return up
}

// isUp finds out whether init, which says nothing by itself, has booted. It asks
// processes and looks at files inside, which can take a second.
func (m *Manager) isUp(ctx context.Context, name string, init state.Process, kind initkind.Kind) bool {
	if kind == initkind.Systemd {
		return m.systemdIsUp(ctx, name)
	}
	left, err := inside.Look(ctx, inside.Identity(init), func(root *inside.Root) (bool, error) { return inits.LeftBootMark(init.PID, root), nil })
	if err == nil && left {
		return inits.ScriptsEnded(init.PID)
	}
	return inits.HasSettled(init.PID)
}

// knownUp reports whether init was found to have booted. What is noted of an
// earlier init of the VPS does not count.
func (m *Manager) knownUp(name string, init state.Process) bool {
	text, err := os.ReadFile(paths.SeenBooted(m.store, name))
	return err == nil && string(text) == upText(init)
}

// noteUp notes that init has booted. Without the note it is found out again, so
// a failure does not matter.
func (m *Manager) noteUp(name string, init state.Process) {
	if !m.readOnly {
		_ = os.WriteFile(paths.SeenBooted(m.store, name), []byte(upText(init)), 0o600)
	}
}

func upText(init state.Process) string { return fmt.Sprintf("%d %d\n", init.PID, init.StartTime) }

// systemdIsUp asks a systemd whether it has booted.
func (m *Manager) systemdIsUp(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	state, _ := m.output(ctx, name, "systemctl", "is-system-running") // degraded is not status 0
	state = strings.TrimSpace(state)
	return state == "running" || state == "degraded"
}

// End is how a VPS ended.
type End = state.End

// Wait returns when name is in the condition asked for: fail.Timeout if that
// does not happen in timeout (0 is forever), fail.State if it cannot. For
// UntilStopped it returns the last end of the VPS, which is nil if croft does
// not know of one since the host booted; else nil.
func (m *Manager) Wait(ctx context.Context, name string, until Condition, timeout time.Duration) (*End, error) {
	if _, err := vps.ParseName(name); err != nil {
		return nil, err
	}
	v, err := m.store.Get(name)
	if err != nil {
		return nil, err
	}
	if until == UntilNetwork && len(v.Interfaces) == 0 {
		return nil, fail.New(fail.State, "%s has no network", name).WithHint("croft wait --for booted %s", name)
	}
	run, err := m.await(ctx, name, until, timeout, func(Status) error { return nil })
	if err != nil || until != UntilStopped {
		return nil, err
	}
	return run.End, nil
}

// awaitBoot is Wait for a VPS that has just been started: if it ends, it will
// not come back.
func (m *Manager) awaitBoot(ctx context.Context, name string, until Condition, timeout time.Duration) error {
	if timeout == 0 {
		timeout = DefaultBootTimeout
	}
	_, err := m.await(ctx, name, until, timeout, func(s Status) error {
		if s == StatusStopped {
			return fail.New(fail.State, "%s ended while it booted: %s", name, m.howEnded(name))
		}
		return nil
	})
	if err != nil {
		return m.withConsole(name, err)
	}
	m.warnDegraded(ctx, name)
	return nil
}

// lookAgain is how often a waiting command looks at what it waits for. What it
// looks at belongs to the VPS's own init, which tells nobody.
const lookAgain = 50 * time.Millisecond

// await returns what run.json said when name was in the condition.
func (m *Manager) await(ctx context.Context, name string, until Condition, timeout time.Duration, hopeless func(Status) error) (state.Run, error) {
	first, err := m.store.Run(name)
	if err != nil {
		return state.Run{}, err
	}
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		seen, err := m.observe(name)
		if err != nil {
			return state.Run{}, err
		}
		run := seen.Run
		status, err := m.observer().Status(seen)
		if err != nil {
			return run, err
		}
		done, err := m.reached(ctx, name, until, status, run, first.Boot)
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
func (m *Manager) reached(ctx context.Context, name string, until Condition, s Status, run state.Run, boot int) (bool, error) {
	switch until {
	case UntilStopped:
		return s == StatusStopped, nil
	case UntilRunning:
		return s.Up(), nil
	case UntilBooted:
		return s.Up() && m.booted(ctx, name, run), nil
	case UntilReboot:
		return s.Up() && run.Boot != boot && m.booted(ctx, name, run), nil
	case UntilNetwork:
		if !s.Up() || !m.booted(ctx, name, run) {
			return false, nil
		}
		return m.answers(ctx, name)
	}
	return false, fail.New(fail.Usage, "unknown condition %q: running, stopped, booted, network or reboot", until)
}

// howEnded is one line about the last end of a VPS.
func (m *Manager) howEnded(name string) string {
	run, err := m.store.Run(name)
	if err != nil || run.End == nil {
		return "the reason is not known"
	}
	return run.End.Detail
}

// warnDegraded says which units of a booted systemd have failed.
func (m *Manager) warnDegraded(ctx context.Context, name string) {
	run, err := m.store.Run(name)
	if err != nil || initkind.Of(proc.Executable(run.Init.PID)) != initkind.Systemd {
		return
	}
	out, err := m.output(ctx, name, "systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")
	if err != nil {
		return
	}
	for line := range strings.Lines(out) {
		if unit, _, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			m.warn(fmt.Sprintf("%s: unit %s failed", name, unit))
		}
	}
}
