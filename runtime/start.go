package runtime

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/consolelog"
	"croft/runtime/endreason"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// Start starts name and returns when its init runs, or with the reason it does
// not; with o.Wait, when it has booted. The VPS outlives the caller: a monitor
// process becomes its parent. A running one is fail.State, and is not touched.
func (m *Manager) Start(ctx context.Context, name string, o StartOptions) error {
	return m.startHow(ctx, name, o, spawnBoot)
}

func (m *Manager) startHow(ctx context.Context, name string, o StartOptions, how spawnHow) error {
	if err := m.start(ctx, name, how); err != nil {
		return err
	}
	return m.awaitStart(ctx, name, o)
}

// awaitStart returns when a VPS that has just been started is as far as o asks
// for.
func (m *Manager) awaitStart(ctx context.Context, name string, o StartOptions) error {
	switch o.Wait {
	case WaitBooted:
		return m.awaitBoot(ctx, name, UntilBooted, o.Timeout)
	case WaitNetwork:
		return m.awaitBoot(ctx, name, UntilNetwork, o.Timeout)
	}
	return nil
}

// awaitBoot is Wait for a VPS that has just been started: if it ends, it will
// not come back.
func (m *Manager) awaitBoot(ctx context.Context, name string, until Condition, timeout time.Duration) error {
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
		return m.withConsole(name, err)
	}
	m.looker().WarnDegraded(ctx, name)
	return nil
}

// howEnded is one line about the last end of a VPS.
func (m *Manager) howEnded(name string) string {
	run, err := m.store.Run(name)
	if err != nil || run.End == nil {
		return "the reason is not known"
	}
	return run.End.Detail
}

// withConsole adds to err, the reason of a failed start, the last lines of the
// console: where a VPS says what was wrong.
func (m *Manager) withConsole(name string, err error) error {
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

func (m *Manager) start(ctx context.Context, name string, how spawnHow) error {
	l, _, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return m.startLocked(ctx, l, how)
}

// startLocked starts a VPS whose lock is held.
func (m *Manager) startLocked(ctx context.Context, l *state.Locked, how spawnHow) error {
	life, err := l.Life()
	held := fail.Is(err, fail.State)
	if err != nil && !held {
		return err
	}
	if !held {
		defer life.Close()
	}
	seen, err := m.observe(l.Name())
	if err != nil {
		return err
	}
	if held || seen.Alive { // without a monitor a start would sweep a VPS that runs away
		return seen.AlreadyRunning()
	}
	if err := m.notMounted(l.Name()); err != nil {
		return err
	}
	v, err := l.VPS()
	if err == nil {
		err = m.store.Apart(ctx, l.Name(), v.IDs) // a root may have come to the host since
	}
	if err != nil {
		return err
	}
	if err := os.Remove(paths.StopRequest(m.store, l.Name())); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("forget the last stop: %w", err)
	}
	before := m.nextBoot(l.Name())
	err = m.monitors.Spawn(ctx, l.Name(), life, how)
	if err != nil && m.nextBoot(l.Name()) != before { // else its console is the boot's before
		return m.withConsole(l.Name(), err)
	}
	if err == nil {
		m.names().Update(context.WithoutCancel(ctx), tables.NetworksOf(v))
	}
	return err
}

// nextBoot is the number of the boot whose console comes next, 0 if the logs
// cannot be read.
func (m *Manager) nextBoot(name string) int {
	logs, err := consolelog.Open(m.store.LogDir(name))
	if err != nil {
		return 0
	}
	return logs.Next()
}

// replaceMonitor gives a running VPS whose monitor was killed a new one. Whatever else
// it finds, it leaves.
func (m *Manager) replaceMonitor(ctx context.Context, l *state.Locked) error {
	seen, err := m.observe(l.Name())
	if err != nil || !seen.Orphaned() {
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return nil // it has one
	}
	if err != nil {
		return err
	}
	defer life.Close()
	if !observe.Alive(seen.Run.Init) {
		return nil
	}
	if err := m.monitors.Spawn(ctx, l.Name(), life, spawnAdopt); err != nil {
		return fmt.Errorf("give %s a new monitor: %w", l.Name(), err)
	}
	return nil
}

// revive starts a fallen VPS that should run: it may have rebooted, which only
// its monitor would have known. Another VPS is left as it is.
func (m *Manager) startAfterUnseenEnd(ctx context.Context, l *state.Locked, v vps.VPS) error {
	seen, err := m.observe(l.Name())
	if err != nil || !seen.EndedUnseen() {
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return nil // its monitor is sweeping up
	}
	if err != nil {
		return err
	}
	defer life.Close()
	// Its monitor may have written the end, and ended itself, in between.
	if seen, err = m.observe(l.Name()); err != nil || !seen.EndedUnseen() {
		return err
	}
	run := seen.Run
	run.State, run.End = state.Ended, new(endreason.Unseen())
	run.End.Time = time.Now().UTC()
	run.Init, run.Monitor = state.Process{}, state.Process{}
	if err := m.store.PutRun(l.Name(), run); err != nil {
		return err
	}
	should, err := m.store.ShouldRun(l.Name())
	if err != nil || !should || paths.Exists(paths.StopRequest(m.store, l.Name())) || !m.mayHaveRebooted(v, *run.End) {
		return err
	}
	m.warn(fmt.Sprintf("%s: it ended while it had no monitor; it is started again", l.Name()))
	return m.monitors.Spawn(ctx, l.Name(), life, spawnBoot)
}

// recoverIfFree gives a running VPS whose monitor was killed a new one, and starts
// a fallen one, for commands that need no lock. It is a no-op if another
// command holds the lock: that one does the same.
func (m *Manager) recoverIfFree(ctx context.Context, name string) {
	m.thawIfFree(ctx, name)
	seen, err := m.observe(name)
	if err != nil || seen.Monitored || seen.Run.State != state.Running {
		return
	}
	m.destroyAbandoned(ctx)
	l, err := m.store.Lock(ctx, name, m.command, 0)
	if err != nil {
		return
	}
	defer l.Unlock()
	v, err := l.VPS()
	if err != nil {
		return
	}
	if err = m.replaceMonitor(ctx, l); err == nil {
		err = m.startAfterUnseenEnd(ctx, l, v)
	}
	if err != nil {
		m.warn(err.Error())
	}
}
