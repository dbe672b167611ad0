package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/runtime/container"
)

// pace is how often a stop looks whether init has come so far as to handle
// the signal that it is stopped by.
const pace = 200 * time.Millisecond

// Stop shuts name down in the way of its own init and returns when it has
// ended. A stopped one is success. One that does not end in o.Timeout is
// killed, and that is fail.Timeout. The next boot of the host leaves it alone,
// unless it is one that every boot starts.
func (m *Manager) Stop(ctx context.Context, name string, o StopOptions) error {
	l, v, err := m.existing(ctx, name)
	if fail.Is(err, fail.NotFound) && o.IfExists {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Unlock()
	if err := m.store.UnmarkRunning(name); err != nil {
		return err
	}
	life, err := m.stopLocked(ctx, l, v, o)
	if life != nil {
		life.Close()
	}
	return err
}

// Restart stops name and starts it again with its saved settings. A stopped
// one is started.
func (m *Manager) Restart(ctx context.Context, name string, o StopOptions, s StartOptions) error {
	if err := m.restart(ctx, name, o); err != nil {
		return err
	}
	return m.awaitStart(ctx, name, s)
}

func (m *Manager) restart(ctx context.Context, name string, o StopOptions) error {
	l, v, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	life, err := m.stopLocked(ctx, l, v, o)
	if life != nil {
		life.Close()
	}
	if fail.Is(err, fail.Timeout) {
		m.warn(err.Error()) // it has ended all the same
		err = nil
	}
	if err != nil {
		return err
	}
	return m.startLocked(ctx, l, spawnBoot)
}

// stopLocked ends a VPS whose lock is held and returns its life lock, which
// says that no monitor runs and none can start. The lock comes with
// fail.Timeout too: the VPS was killed then, and has ended.
func (m *Manager) stopLocked(ctx context.Context, l *state.Locked, v state.VPS, o StopOptions) (*os.File, error) {
	if life, err := l.Life(); err == nil {
		// Nothing runs, unless the run directory was lost.
		return life, errors.Join(m.endStrays(v, true), m.sweep(ctx, v))
	}
	if err := requestStop(m.store, l.Name()); err != nil {
		return nil, err
	}
	if o.Fast {
		return m.killLocked(ctx, l)
	}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = stopTimeout(v)
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		m.ask(bounded, v, powerOff, timeout)
	}()
	// A command that hangs inside ends at the latest with the VPS.
	defer func() { cancel(); <-asked }()
	life, err := l.WaitLife(bounded)
	if err == nil {
		return life, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	life, err = m.killLocked(ctx, l)
	if err != nil {
		return nil, err
	}
	return life, fail.New(fail.Timeout, "%s did not stop in %s and was killed", l.Name(), timeout).WithHint("croft logs %s", l.Name())
}

// killLocked ends every process of a VPS and waits for its monitor to have
// swept up.
func (m *Manager) killLocked(ctx context.Context, l *state.Locked) (*os.File, error) {
	const patience = 30 * time.Second
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	killed := make(chan error, 1)
	go func() {
		// More than once: a VPS that reboots just now has another container.
		tick := time.NewTicker(pace)
		defer tick.Stop()
		var err error
		for {
			if e := m.containers.Kill(l.Name()); e != nil && !errors.Is(e, container.ErrAbsent) {
				err = e
			}
			select {
			case <-bounded.Done():
				killed <- err
				return
			case <-tick.C:
			}
		}
	}()
	life, err := l.WaitLife(bounded)
	cancel()
	if e := <-killed; err != nil && e != nil {
		err = fmt.Errorf("kill %s: %w", l.Name(), e)
	}
	return life, err
}

// ask makes the init of v do what is wanted, and goes on asking until ctx
// ends: by its signal as soon as it handles that, after a third of the
// timeout by the command inside, after two thirds by SIGTERM to everything.
func (m *Manager) ask(ctx context.Context, v state.VPS, want intent, timeout time.Duration) {
	command := time.NewTimer(timeout / 3)
	everything := time.NewTimer(timeout * 2 / 3)
	tick := time.NewTicker(pace)
	defer command.Stop()
	defer everything.Stop()
	defer tick.Stop()
	asked := m.askOnce(ctx, v.Name, want)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !asked {
				asked = m.askOnce(ctx, v.Name, want)
			}
		case <-command.C:
			if m.hasSmallInit(v.Name) {
				continue // no such command would be its own
			}
			if err := m.runInside(ctx, v.Name, string(want)); err != nil {
				m.warn(fmt.Sprintf("%s: run %s inside: %v", v.Name, want, err))
			}
			asked = true
		case <-everything.C:
			m.terminate(v.Name)
		}
	}
}

// askOnce reports whether init could be asked: it runs and handles the signal.
func (m *Manager) askOnce(ctx context.Context, name string, want intent) bool {
	run, err := m.store.Run(name)
	if err != nil || run.State != state.Running || !alive(run.Init) {
		return false
	}
	// A frozen VPS takes no signal; whoever stops it wants it to end.
	if frozen, err := m.containers.Frozen(name); err == nil && frozen {
		if err := m.containers.Thaw(name); err != nil {
			m.warn(err.Error())
		}
	}
	// A guest that does not let its files be read has said nothing about its init.
	look, _ := readRunning(run.Init, func(root *inside.Root) (guestLook, error) { return m.guests.Look(root), nil })
	init, err := inside.OpenProcess(run.Init.PID, run.Init.StartTime)
	if err != nil {
		return false
	}
	defer init.Close()
	kind := kindOfInit(exeInside(run.Init.PID))
	sig := signalFor(kind, want, look.Inittab)
	if sig == noSignal {
		return m.runInside(ctx, name, string(want)) == nil
	}
	status, err := init.ReadFile("status")
	if err != nil || !parseInitStatus(string(status)).ready(kind, sig) {
		return false
	}
	return m.containers.Signal(name, sig) == nil
}

// terminate sends SIGTERM to every process of the VPS but its init.
func (m *Manager) terminate(name string) {
	run, err := m.store.Run(name)
	if err != nil {
		return
	}
	pids, err := m.containers.Processes(name)
	if err != nil {
		return
	}
	// A number in the list can be another process's by now. One that is in the
	// list again while its pidfd is open is the VPS's, and is sent it by that.
	open := map[int]int{}
	defer func() {
		for _, fd := range open {
			unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil && pid != run.Init.PID { // an init may take it for "reboot"
			open[pid] = fd
		} else if err == nil {
			unix.Close(fd)
		}
	}
	if pids, err = m.containers.Processes(name); err != nil {
		return
	}
	for _, pid := range pids {
		if fd, ok := open[pid]; ok {
			_ = unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
		}
	}
}

// requestStop leaves word that name is to stop, for its monitor.
func requestStop(s *state.Store, name string) error {
	file := stopRequest(s, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("leave word to stop: %w", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return fmt.Errorf("leave word to stop: %w", err)
	}
	return nil
}

// exeInside is the file that process pid runs from, as seen inside.
func exeInside(pid int) string {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return ""
	}
	return exe
}
