package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/trace"
	"croft/internal/vps"
	"croft/runtime/consolelog"
	"croft/runtime/hooks"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// Start starts name and returns when its init runs, or with o.Wait when it has
// booted or its network answers. A monitor process becomes the parent of the VPS,
// which so outlives the caller. A running VPS is fail.State and is not touched.
func (m *Manager) Start(ctx context.Context, name vps.Name, o StartOptions) error {
	return m.startHow(ctx, name, o, spawnBoot)
}

func (m *Manager) startHow(ctx context.Context, name vps.Name, o StartOptions, how spawnHow) error {
	if err := m.start(ctx, name, o.Cold, how); err != nil {
		return err
	}
	return m.awaitStart(ctx, name, o)
}

// awaitStart waits for a VPS that was just started, as o.Wait says.
func (m *Manager) awaitStart(ctx context.Context, name vps.Name, o StartOptions) error {
	until := UntilBooted
	switch o.Wait {
	case WaitNone:
		return nil
	case WaitNetwork:
		until = UntilNetwork
	}
	began := time.Now()
	if err := m.awaitBoot(ctx, name, until, o.Timeout); err != nil {
		return err
	}
	if o.Timeout == 0 {
		return m.awaitFirstBoot(ctx, name)
	}
	bounded, cancel := context.WithDeadline(ctx, began.Add(o.Timeout))
	defer cancel()
	err := m.awaitFirstBoot(bounded, name)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fail.New(fail.Timeout, "the first-boot script of %s has not ended after %s", name, o.Timeout).WithHint("croft logs %s", name)
	}
	return err
}

// awaitBoot is Wait for a VPS that was just started. It fails if the VPS ends.
func (m *Manager) awaitBoot(ctx context.Context, name vps.Name, until Condition, timeout time.Duration) error {
	defer trace.Span("wait for the boot")()
	if timeout == 0 {
		timeout = DefaultBootTimeout
	}
	_, err := m.looker().Await(ctx, name, until, timeout, func(s Status) error {
		if s == StatusStopped {
			return fail.New(fail.State, "%s ended while it booted: %s", name, m.howEnded(name))
		}
		return nil
	})
	if err != nil {
		err = m.withConsole(name, err)
	}
	if ctx.Err() == nil {
		m.warnUnwell(ctx, name)
	}
	return err
}

// howEnded describes the last end of a VPS in one line.
func (m *Manager) howEnded(name vps.Name) string {
	run, err := m.store.Run(name)
	if err != nil || run.End == nil {
		return "the reason is not known"
	}
	return run.End.Detail
}

// withConsole returns err, the reason of a failed start, and warns with the last
// lines of the console, which often tell more.
func (m *Manager) withConsole(name vps.Name, err error) error {
	const lines = 20
	var text bytes.Buffer
	if e := m.Logs(context.Background(), name, LogOptions{Lines: lines}, &text); e != nil || text.Len() == 0 {
		return err
	}
	for line := range strings.Lines(text.String()) {
		m.warn(fmt.Sprintf("%s: console: %s", name, strings.TrimRight(line, "\r\n")))
	}
	return err
}

func (m *Manager) start(ctx context.Context, name vps.Name, cold bool, how spawnHow) error {
	l, _, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if cold {
		if err := m.discardCheckpoint(name); err != nil {
			return err
		}
	}
	return m.startLocked(ctx, l, how)
}

// startLocked starts a VPS whose lock is held.
func (m *Manager) startLocked(ctx context.Context, l *state.Locked, how spawnHow) error {
	defer trace.Span("start the VPS")()
	life, err := l.Life()
	held := fail.Is(err, fail.State)
	if err != nil && !held {
		return err
	}
	if !held {
		defer life.Close()
	}
	if err := m.checkHere(l.Name()); err != nil {
		return err
	}
	seen, err := m.observe(l.Name())
	if err != nil {
		return err
	}
	if seen.Restarting() {
		if life, err = m.endRestart(ctx, l); err != nil {
			return err
		}
		defer life.Close()
		held = false
	}
	if held || seen.Alive { // a start would remove a VPS that runs without a monitor
		return seen.AlreadyRunning()
	}
	if err := m.notMounted(l.Name()); err != nil {
		return err
	}
	v, err := l.VPS()
	if err == nil {
		err = m.checkRestorable(ctx, v)
	}
	if err == nil {
		err = m.store.Apart(ctx, l.Name(), v.IDs) // another root can have been added to the host since
	}
	if err != nil {
		return err
	}
	if err := os.Remove(paths.StopRequest(m.store, l.Name())); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot remove the last stop request: %w", err)
	}
	if err := m.runHooks(ctx, hooks.PreStart, v); err != nil {
		return err
	}
	m.makeRoom(v)
	before := m.nextBoot(l.Name())
	err = m.monitors.Spawn(ctx, l.Name(), life, how)
	if err != nil && m.nextBoot(l.Name()) != before { // otherwise the last console log is of an earlier boot
		return m.withConsole(l.Name(), err)
	}
	if err == nil {
		m.names().Update(context.WithoutCancel(ctx), tables.NetworksOf(v))
		m.afterwards(ctx, hooks.PostStart, v)
	}
	return err
}

// endRestart ends the monitor of a VPS that waits before a restart, and returns the
// life lock: the caller starts the VPS at once. It is fail.State if the monitor has
// started the VPS meanwhile.
func (m *Manager) endRestart(ctx context.Context, l *state.Locked) (*os.File, error) {
	if err := requestStop(m.store, l.Name()); err != nil {
		return nil, err
	}
	for {
		life, err := m.lifeWithin(ctx, l, pace)
		if err == nil || ctx.Err() != nil {
			return life, err
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		seen, err := m.observe(l.Name())
		if err == nil && seen.Alive {
			err = errors.Join(os.Remove(paths.StopRequest(m.store, l.Name())), seen.AlreadyRunning())
		}
		if err != nil {
			return nil, err
		}
	}
}

// nextBoot returns the number of the next boot; 0 if the logs cannot be read.
func (m *Manager) nextBoot(name vps.Name) int {
	logs, err := consolelog.Open(m.store.LogDir(name))
	if err != nil {
		return 0
	}
	return logs.Next()
}
