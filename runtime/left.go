package runtime

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/observe"
	"croft/runtime/paths"
)

// A croft run does not wait for the end of its VPS: it leaves that to the monitor of the VPS,
// with a mark that names the process of the monitor. Commands that would see the VPS, or use its
// name, wait for the end of that process. They do not take its work over, because then it
// would still want the lock of the name when they have ended.

// leftPatience is how long a command waits for a monitor that removes its VPS, also if the
// user does not want to wait for locks: no command of theirs has this one.
const leftPatience = time.Minute

// leave leaves the end of the ephemeral VPS name, whose runner is this process, and its
// removal to its monitor, and reports whether the monitor does that. The mark comes first:
// the monitor looks for it after the end of init, so if init runs now, it finds the mark.
func (m *Manager) leave(name vps.Name) bool {
	if all, err := m.hooks.Find(name); err != nil || len(all) > 0 {
		return false
	}
	run, err := m.store.Run(name)
	if err != nil {
		return false
	}
	text := fmt.Sprintf("%d %d\n", run.Monitor.PID, run.Monitor.StartTime)
	if err := os.WriteFile(paths.Left(m.store, name), []byte(text), 0o600); err != nil {
		return false
	}
	seen, err := m.observe(name)
	if err == nil && seen.Monitored && seen.Alive && seen.Run.Monitor == run.Monitor {
		return true
	}
	m.forgetLeft(name)
	return false
}

// left reports whether the runner of name has left it to its monitor, and returns that.
func (m *Manager) left(name vps.Name) (monitor state.Process, left bool) {
	text, err := os.ReadFile(paths.Left(m.store, name))
	if err != nil {
		return state.Process{}, false
	}
	_, _ = fmt.Sscan(string(text), &monitor.PID, &monitor.StartTime) // a damaged mark names no process
	return monitor, true
}

// isLeft reports whether the runner of name has left it to its monitor.
func (m *Manager) isLeft(name vps.Name) bool {
	_, left := m.left(name)
	return left
}

// forgetLeft removes the mark of leave. If it stays, the next command that uses the name removes it.
func (m *Manager) forgetLeft(name vps.Name) { _ = os.Remove(paths.Left(m.store, name)) }

// removeLeft waits until the VPS name is gone, if its runner has left it to its monitor. It
// destroys the VPS itself if the monitor was killed. So the name is free as soon as a croft
// run has ended.
func (m *Manager) removeLeft(ctx context.Context, name vps.Name) error {
	monitor, left := m.left(name)
	if !left {
		return nil
	}
	if err := m.monitors.AwaitEnd(ctx, monitor, leftPatience); err != nil {
		return fmt.Errorf("wait for the end of %s: %w", name, err)
	}
	if _, left := m.left(name); !left {
		return nil
	}
	return m.destroyIfAbandoned(ctx, name, max(m.lockWait, leftPatience))
}

// removeAllLeft is removeLeft for all VPSs, before a command that shows all of them, or
// that removes what one of them may use. An error is a warning.
func (m *Manager) removeAllLeft(ctx context.Context) {
	names, err := m.store.Ephemerals()
	if err != nil {
		m.warn(err.Error())
	}
	for _, name := range names {
		if err := m.removeLeft(ctx, name); err != nil {
			m.warn(fmt.Sprintf("remove %s, whose croft command has ended: %v", name, err))
		}
	}
}

func (spawner) AwaitEnd(ctx context.Context, p state.Process, patience time.Duration) error {
	if p.PID == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil || !observe.Alive(p) { // looked at when the pidfd is open, so it is of this process
		if err == nil {
			unix.Close(fd)
		}
		return nil
	}
	defer unix.Close(fd)
	const tick = 100 * time.Millisecond // how soon the end of ctx is seen
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(tick.Milliseconds()))
		if n > 0 || err != nil && err != unix.EINTR {
			return nil
		}
	}
	return fail.New(fail.Timeout, "its monitor (pid %d) has not ended after %s", p.PID, patience)
}
