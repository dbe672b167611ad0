package runtime

import (
	"croft/internal/fail"
	"croft/internal/state"
)

// notRunning is why nothing can be done in the VPS name, which has that status
// and does not run: fail.State. One on its way up or down is to be waited for,
// as a start would find it taken.
func notRunning(name string, status Status) error {
	switch status {
	case StatusStarting:
		return fail.New(fail.State, "%s is still starting", name).WithHint("croft wait --for running %s", name)
	case StatusStopping:
		return fail.New(fail.State, "%s is shutting down", name).WithHint("croft wait --for stopped %s", name)
	}
	return fail.New(fail.State, "%s is not running", name).WithHint("croft start %s", name)
}

// notRunning is the same of a VPS whose init has just been found dead.
func (m *Manager) notRunning(name string) error {
	run, err := m.store.Run(name)
	if err != nil {
		return err
	}
	status, err := m.status(name, run)
	if err != nil {
		return err
	}
	return notRunning(name, status)
}

// runningAlready is why name, whose life lock another holds, cannot be
// started: fail.State.
func (m *Manager) runningAlready(name string) error {
	run, err := m.store.Run(name)
	if err != nil {
		return err
	}
	if lives := run.State == state.Running && alive(run.Init); lives {
		return fail.New(fail.State, "%s is running already", name).WithHint("croft list %s", name)
	}
	if comingDown(run) {
		return notRunning(name, StatusStopping)
	}
	return notRunning(name, StatusStarting)
}

// comingDown tells which way a VPS goes whose monitor lives and whose init
// does not: the monitor that wrote run down is still there to sweep up after
// init, or another has begun and not written yet.
func comingDown(run state.Run) bool { return run.State != state.Starting && alive(run.Monitor) }
