package runtime

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/holder"
	"croft/runtime/observe"
)

// The runner of an ephemeral VPS is the croft run that made it. The VPS ends
// with it: the holder watches the runner, and what is left when both are killed
// the next command removes.

// thisRunner is this process as the runner of a VPS.
func (m *Manager) thisRunner() (vps.Runner, error) {
	me, err := observe.ProcessOf(os.Getpid())
	return vps.Runner{HostBoot: m.store.HostBoot(), PID: me.PID, StartTime: me.StartTime}, err
}

// abandoned reports whether v is ephemeral and its runner has ended. One that
// names no runner was made by an older croft, and is not.
func (m *Manager) abandoned(v vps.VPS) bool {
	r := v.Runner
	if !v.Ephemeral || r.PID == 0 {
		return false
	}
	return r.HostBoot != m.store.HostBoot() || !observe.Alive(state.Process{PID: r.PID, StartTime: r.StartTime})
}

// runnerOf opens the runner of v as a pidfd, which the caller closes. It is
// holder.None for a VPS without one, fail.State if the runner has ended.
func (m *Manager) runnerOf(v vps.VPS) (int, error) {
	if !v.Ephemeral || v.Runner.PID == 0 {
		return holder.None, nil
	}
	fd, err := unix.PidfdOpen(v.Runner.PID, 0)
	if err != nil || m.abandoned(v) { // asked once the pid cannot be another's
		if err == nil {
			unix.Close(fd)
		}
		return holder.None, fail.New(fail.State, "the croft run that %s belongs to has ended", v.Name)
	}
	return fd, nil
}

// collectAbandoned removes the ephemeral VPSs whose runner was killed. One that
// is busy is left to the next command. What cannot be removed is a warning.
func (m *Manager) collectAbandoned(ctx context.Context) {
	names, err := m.store.Ephemerals()
	if err != nil {
		m.warn(err.Error())
		return
	}
	for _, name := range names {
		if err := m.collect(ctx, name); err != nil && !fail.Is(err, fail.Busy) {
			m.warn(fmt.Sprintf("remove %s, whose croft run has ended: %v", name, err))
		}
	}
}

func (m *Manager) collect(ctx context.Context, name string) error {
	v, err := m.store.Get(name)
	if err == nil && v.Ephemeral && !m.abandoned(v) {
		return nil
	}
	if err != nil && !fail.Is(err, fail.NotFound) {
		return nil // broken, so its user has to look at it
	}
	l, err := m.store.Lock(ctx, name, m.command, 0)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v, err = l.VPS()
	switch {
	case fail.Is(err, fail.NotFound), err == nil && !v.Ephemeral:
		return l.UnlistEphemeral()
	case err != nil || !m.abandoned(v):
		return nil
	}
	return m.destroyHeld(ctx, l, DestroyOptions{Force: true, IfExists: true})
}
