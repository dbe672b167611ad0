package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/guests"
	"croft/runtime/hooks"
	"croft/runtime/inits"
	"croft/runtime/observe"
	"croft/runtime/paths"
)

// pace is the time between two looks of a stop whether init already handles the
// signal that stops it.
const pace = 200 * time.Millisecond

// Stop shuts name down as its init expects it and returns when it has ended. No-op
// if name is stopped. A VPS that does not end within o.Timeout is killed, which is
// fail.Timeout. The next boot of the host does not start it, unless every boot does.
//
// Stop needs only the name, the cgroup and the locks of the VPS. A file that is
// corrupt or cannot be written is a warning.
func (m *Manager) Stop(ctx context.Context, name vps.Name, o StopOptions) error {
	l, v, err := m.lockToEnd(ctx, name)
	if fail.Is(err, fail.NotFound) && o.IfExists {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Unlock()
	ran, err := m.beforeStop(ctx, v, o)
	if err != nil {
		return err
	}
	m.unmarkRunning(name)
	life, err := m.stopLocked(ctx, l, v, o)
	if life != nil {
		m.unmarkRunning(name) // a reboot from inside may have marked it meanwhile
		state.ReleaseLife(life)
		if ran {
			m.afterStop(ctx, v)
		}
	}
	return err
}

// beforeStop runs the hooks before a stop of v, unless that is to be fast. It reports
// whether v runs; only then there are hooks. If that cannot be found out it does not.
func (m *Manager) beforeStop(ctx context.Context, v vps.VPS, o StopOptions) (ran bool, err error) {
	if ran, err = m.runs(v.Name); err != nil || !ran {
		return false, nil
	}
	if !o.Fast {
		err = m.runHooks(ctx, hooks.PreStop, v)
	}
	return true, err
}

// Kill sends a signal to the init of name. SIGKILL ends the whole VPS, and Kill
// returns when it has ended. It is fail.State if the VPS does not run. Like Stop it
// does not need the VPS's files.
func (m *Manager) Kill(ctx context.Context, name vps.Name, sig syscall.Signal) error {
	l, v, err := m.lockToEnd(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	held, err := m.store.LifeHeld(name)
	if err != nil {
		return err
	}
	if !held && !observe.Alive(m.initProcess(name)) {
		return fail.New(fail.State, "%s is not running", name).WithHint("croft start %s", name)
	}
	if sig != syscall.SIGKILL {
		if seen, err := m.observe(name); err == nil && seen.Restarting() {
			return observe.NotRunning(name, StatusRestarting)
		}
		return m.containers.Signal(string(name), sig)
	}
	m.unmarkRunning(name)
	life, err := m.stopLocked(ctx, l, v, StopOptions{Fast: true})
	if life != nil {
		m.unmarkRunning(name)
		state.ReleaseLife(life)
		m.afterStop(ctx, v)
	}
	return err
}

// lockToEnd takes the lock of name for a command that ends the VPS. If the settings
// cannot be read that is a warning, and v has only the name and the interfaces. The
// VPS does not get a new monitor.
func (m *Manager) lockToEnd(ctx context.Context, name vps.Name) (*state.Locked, vps.VPS, error) {
	l, err := m.lock(ctx, name)
	if err != nil {
		return nil, vps.VPS{}, err
	}
	v, err := l.VPS()
	if fail.Is(err, fail.NotFound) {
		l.Unlock()
		return nil, vps.VPS{}, err
	}
	if err == nil {
		var renamed vps.VPS
		if renamed, err = m.finishRename(ctx, l, v); err == nil {
			return l, renamed, nil
		}
		m.warn(err.Error())
		return l, v, nil
	}
	m.warn(err.Error())
	v, _ = m.byNameAlone(name)
	return l, v, nil
}

// unmarkRunning records that name should not run. An error is a warning: the VPS is
// stopped anyway, but the next boot of the host starts it.
func (m *Manager) unmarkRunning(name vps.Name) {
	if err := m.store.UnmarkRunning(name); err != nil {
		m.warn(fmt.Sprintf("the next boot of the host starts %s again: %v", name, err))
	}
}

// Restart stops name and starts it again with its saved settings. It starts a
// stopped VPS. If name could not start again, because the host lacks something that
// it needs, it is not stopped.
func (m *Manager) Restart(ctx context.Context, name vps.Name, o StopOptions, s StartOptions) error {
	if err := m.restart(ctx, name, o); err != nil {
		return err
	}
	return m.awaitStart(ctx, name, s)
}

func (m *Manager) restart(ctx context.Context, name vps.Name, o StopOptions) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if err := m.checkRestart(ctx, v); err != nil {
		return err
	}
	ran, err := m.beforeStop(ctx, v, o)
	if err != nil {
		return err
	}
	life, err := m.stopLocked(ctx, l, v, o)
	if life != nil {
		state.ReleaseLife(life)
		if ran {
			m.afterStop(ctx, v)
		}
	}
	if fail.Is(err, fail.Timeout) {
		m.warn(err.Error()) // but it has ended
		err = nil
	}
	if err != nil {
		return err
	}
	return m.startLocked(ctx, l, spawnBoot)
}

// stopLocked ends a VPS whose lock is held and returns its life lock, which the
// caller closes. Until then no monitor can start. If the VPS has ended it returns
// the lock with an error too: fail.Timeout if the VPS was killed.
func (m *Manager) stopLocked(ctx context.Context, l *state.Locked, v vps.VPS, o StopOptions) (*os.File, error) {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = v.StopTimeout()
	}
	if life, err := l.Life(); err == nil {
		return life, m.stopWithoutMonitor(ctx, v, o.Fast, timeout)
	}
	if err := m.store.RemoveCheckpoint(l.Name()); err != nil { // of before: the VPS has run on
		m.warn(err.Error())
	}
	begun := time.Now()
	if err := requestStop(m.store, l.Name()); err != nil {
		m.warn(err.Error()) // then a reboot from inside is not prevented
	}
	if o.Fast {
		return m.killLocked(ctx, l, v)
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		m.askInit(bounded, v, inits.PowerOff, timeout)
	}()
	// A command inside that hangs ends with the VPS at the latest.
	defer func() { cancel(); <-asked }()
	life, err := l.WaitLife(bounded)
	if err == nil && !m.hasSwept(l.Name()) { // its monitor was killed meanwhile
		return life, m.stopWithoutMonitor(ctx, v, false, max(0, timeout-time.Since(begun)))
	}
	if err == nil {
		return life, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	life, err = m.killLocked(ctx, l, v)
	if err != nil {
		return life, err
	}
	return life, fail.New(fail.Timeout, "%s did not stop in %s and was killed", l.Name(), timeout).WithHint("croft logs %s", l.Name())
}

// stopWithoutMonitor is stopLocked for a VPS without a monitor. The caller holds the
// life lock, so the VPS cannot get one.
func (m *Manager) stopWithoutMonitor(ctx context.Context, v vps.VPS, fast bool, timeout time.Duration) error {
	if !observe.Alive(m.initProcess(v.Name)) {
		return errors.Join(m.killStrays(v, true), m.sweep(ctx, v))
	}
	if err := m.store.RemoveCheckpoint(v.Name); err != nil {
		m.warn(err.Error())
	}
	if fast {
		timeout = 0
	}
	err := m.stopOrphan(ctx, v, timeout)
	if fast && fail.Is(err, fail.Timeout) {
		return nil
	}
	return err
}

// hasSwept reports whether the last monitor of name has removed what the VPS left. It
// records the end of the VPS after that.
func (m *Manager) hasSwept(name vps.Name) bool {
	run, err := m.store.Run(name)
	return err == nil && run.State == state.Ended
}

// initProcess returns the init of name as recorded by its monitor, or by
// libcontainer if that record cannot be read; the zero Process if there is no init.
// The init may have ended.
func (m *Manager) initProcess(name vps.Name) state.Process {
	run, err := m.store.Run(name)
	if err == nil && run.Schema != 0 && run.State != state.Starting {
		if run.State != state.Running {
			return state.Process{}
		}
		return run.Init
	}
	pid, err := m.containers.Init(string(name))
	if err != nil || pid <= 0 {
		return state.Process{}
	}
	p, err := observe.ProcessOf(pid)
	if err != nil {
		return state.Process{}
	}
	return p
}

// askInit asks the init of v for want until ctx is done. It sends the signal as soon
// as init handles it. After a third of the timeout it runs the command inside, and
// after two thirds it sends SIGTERM to all other processes.
func (m *Manager) askInit(ctx context.Context, v vps.VPS, want inits.Intent, timeout time.Duration) {
	command := time.NewTimer(timeout / 3)
	everything := time.NewTimer(timeout * 2 / 3)
	tick := time.NewTicker(pace)
	defer command.Stop()
	defer everything.Stop()
	defer tick.Stop()
	asked := m.askInitOnce(ctx, v.Name, want)
	// A command that hangs must not delay the next step.
	var inside sync.WaitGroup
	defer inside.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !asked {
				asked = m.askInitOnce(ctx, v.Name, want)
			}
		case <-command.C:
			if m.hasSmallInit(v.Name) {
				continue // an image without an init has no such command
			}
			inside.Go(func() {
				if err := m.runInside(ctx, v.Name, string(want)); err != nil && ctx.Err() == nil {
					m.warn(fmt.Sprintf("%s: run %s inside: %v", v.Name, want, err))
				}
			})
			asked = true
		case <-everything.C:
			m.terminate(v.Name)
		}
	}
}

// askInitOnce reports whether it could ask init: init runs and handles the signal.
func (m *Manager) askInitOnce(ctx context.Context, name vps.Name, want inits.Intent) bool {
	init := m.initProcess(name)
	if !observe.Alive(init) {
		return false
	}
	// A frozen VPS does not handle signals.
	if frozen, err := m.containers.Frozen(string(name)); err == nil && frozen {
		if err := m.containers.Thaw(string(name)); err != nil {
			m.warn(err.Error())
		}
	}
	// If the guest's files cannot be read the inittab is empty.
	found, _ := inside.Look(ctx, inside.Identity(init), func(root *inside.Root) (guests.Init, error) { return m.guests.FindInit(root), nil })
	process, err := inside.OpenProcess(init.PID, init.StartTime)
	if err != nil {
		return false
	}
	defer process.Close()
	kind := initkind.Of(proc.Executable(init.PID))
	sig := inits.SignalFor(kind, want, found.Inittab)
	if sig == inits.NoSignal {
		return m.runInside(ctx, name, string(want)) == nil
	}
	status, err := process.ReadFile("status")
	if err != nil || !inits.ParseMasks(string(status)).Ready(kind, sig) {
		return false
	}
	return m.containers.Signal(string(name), sig) == nil
}

// terminate sends SIGTERM to every process of the VPS but its init.
func (m *Manager) terminate(name vps.Name) {
	init := m.initProcess(name)
	if init.PID == 0 {
		return // it has ended, or its init is not known
	}
	pids, err := m.containers.Processes(string(name))
	if err != nil {
		return
	}
	// A pid in the list can belong to another process by now. If a pid is in the
	// list again while its pidfd is open, the pidfd refers to a process of the VPS.
	open := map[int]int{}
	defer func() {
		for _, fd := range open {
			unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil && pid != init.PID { // an init may take it for "reboot"
			open[pid] = fd
		} else if err == nil {
			unix.Close(fd)
		}
	}
	if pids, err = m.containers.Processes(string(name)); err != nil {
		return
	}
	for _, pid := range pids {
		if fd, ok := open[pid]; ok {
			_ = unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
		}
	}
}

// requestStop asks the monitor of name not to start the VPS again.
func requestStop(s *state.Store, name vps.Name) error {
	file := paths.StopRequest(s, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("cannot request a stop: %w", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return fmt.Errorf("cannot request a stop: %w", err)
	}
	return nil
}

// hasSmallInit reports whether the init of the running VPS is croft's own.
func (m *Manager) hasSmallInit(name vps.Name) bool {
	run, err := m.store.Run(name)
	return err == nil && initkind.Of(proc.Executable(run.Init.PID)) == initkind.Croft
}
