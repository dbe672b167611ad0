package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	"croft/runtime/container"
	"croft/runtime/endreason"
	"croft/runtime/guests"
	"croft/runtime/inits"
	"croft/runtime/observe"
	"croft/runtime/paths"
)

// pace is how often a stop looks whether init has come so far as to handle
// the signal that it is stopped by.
const pace = 200 * time.Millisecond

// Stop shuts name down in the way of its own init and returns when it has
// ended. It is a no-op if name is stopped. One that does not end in o.Timeout is
// killed, and that is fail.Timeout. The next boot of the host leaves it alone,
// unless it is one that every boot starts.
//
// It needs the VPS's name, its cgroup and its locks only: files that are
// corrupt or cannot be written are warnings.
func (m *Manager) Stop(ctx context.Context, name string, o StopOptions) error {
	l, v, err := m.lockToEnd(ctx, name)
	if fail.Is(err, fail.NotFound) && o.IfExists {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Unlock()
	m.unmarkRunning(name)
	life, err := m.stopLocked(ctx, l, v, o)
	if life != nil {
		m.unmarkRunning(name) // a reboot from inside that has ended meanwhile has marked it
		life.Close()
	}
	return err
}

// Kill sends a signal to name's init; SIGKILL ends the whole VPS, and Kill
// returns when it has ended. One that does not run is fail.State. Like Stop it
// does not need the VPS's files.
func (m *Manager) Kill(ctx context.Context, name string, sig syscall.Signal) error {
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
		return m.containers.Signal(name, sig)
	}
	m.unmarkRunning(name)
	life, err := m.stopLocked(ctx, l, v, StopOptions{Fast: true})
	if life != nil {
		m.unmarkRunning(name)
		life.Close()
	}
	return err
}

// toEnd takes name's lock for a command that ends the VPS. Settings that cannot
// be read are a warning: then only its name and its interfaces are known. It
// gets no new monitor.
func (m *Manager) lockToEnd(ctx context.Context, name string) (*state.Locked, vps.VPS, error) {
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

// unmark notes that name should not run. Where that cannot be written the VPS
// is stopped all the same, and the next boot of the host starts it.
func (m *Manager) unmarkRunning(name string) {
	if err := m.store.UnmarkRunning(name); err != nil {
		m.warn(fmt.Sprintf("the next boot of the host starts %s again: %v", name, err))
	}
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
	l, v, err := m.lockAndLoadAsIs(ctx, name)
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
// says that no monitor runs and none can start. The lock comes with an error
// too if the VPS has ended: fail.Timeout says that it was killed.
func (m *Manager) stopLocked(ctx context.Context, l *state.Locked, v vps.VPS, o StopOptions) (*os.File, error) {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = v.StopTimeout()
	}
	if life, err := l.Life(); err == nil {
		return life, m.stopWithoutMonitor(ctx, v, o.Fast, timeout)
	}
	begun := time.Now()
	if err := requestStop(m.store, l.Name()); err != nil {
		m.warn(err.Error()) // a reboot from inside that comes before the end is not held up
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
	// A command that hangs inside ends at the latest with the VPS.
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

// stopWithoutMonitor is stopLocked for a VPS that has no monitor and cannot get
// one: the caller holds the life lock.
func (m *Manager) stopWithoutMonitor(ctx context.Context, v vps.VPS, fast bool, timeout time.Duration) error {
	if !observe.Alive(m.initProcess(v.Name)) {
		return errors.Join(m.killStrays(v, true), m.sweep(ctx, v))
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

// sweptUp reports whether the last monitor of name has swept up: it writes the
// end down after that. One that was killed has not.
func (m *Manager) hasSwept(name string) bool {
	run, err := m.store.Run(name)
	return err == nil && run.State == state.Ended
}

// How long a killed VPS may take until nothing of it is left, how long it may
// take while the kernel is ending its init, which writes its data to the disk,
// and how long its monitor may take to sweep up when its last process has ended.
// A monitor that stands still has no time: what it does not sweep up we do.
const (
	killPatience  = 30 * time.Second
	exitPatience  = 2 * time.Minute
	sweepPatience = 10 * time.Second
)

// killLocked ends every process of a VPS and waits for its monitor to have
// swept up. It kills a monitor that does not, and sweeps up in its place.
func (m *Manager) killLocked(ctx context.Context, l *state.Locked, v vps.VPS) (*os.File, error) {
	bounded, cancel := context.WithTimeout(ctx, exitPatience)
	defer cancel()
	var failed error
	var dead time.Time // since when nothing runs inside
	killed := false
	begun := time.Now()
	for bounded.Err() == nil && (time.Since(begun) < killPatience || m.exiting(l.Name())) {
		// More than once: a VPS that reboots just now has another container.
		if err := m.containers.Kill(l.Name()); err != nil && !errors.Is(err, container.ErrAbsent) {
			failed = err
		}
		life, err := m.lifeWithin(bounded, l, pace)
		if err == nil {
			if killed || !m.hasSwept(l.Name()) {
				err = m.sweepForMonitor(context.WithoutCancel(ctx), v)
			}
			return life, err
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		if observe.Alive(m.initProcess(l.Name())) {
			dead = time.Time{}
			continue
		}
		if dead.IsZero() {
			dead = time.Now()
		}
		killed = m.killMonitor(l.Name(), time.Since(dead) > sweepPatience) || killed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, fmt.Errorf("kill %s: %w", l.Name(), failed)
	}
	return nil, fail.New(fail.Timeout, "%s does not end within %s: %s", l.Name(), time.Since(begun).Round(time.Second), m.whyNotEnded(l.Name()))
}

// exiting reports whether the kernel is ending the init of name.
func (m *Manager) exiting(name string) bool {
	init := m.initProcess(name)
	return observe.Alive(init) && container.Exiting(init.PID)
}

// lifeWithin waits for the life lock no longer than limit.
func (m *Manager) lifeWithin(ctx context.Context, l *state.Locked, limit time.Duration) (*os.File, error) {
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return l.WaitLife(short)
}

// killMonitor kills the monitors of name that stand still, or with late any,
// and reports whether it has killed one.
func (m *Manager) killMonitor(name string, late bool) (killed bool) {
	for _, pid := range monitorsOf(m.store.LifeFile(name), name) {
		if !late && !proc.Stopped(pid) {
			continue
		}
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed = true
			m.warn(fmt.Sprintf("the monitor of %s (pid %d) did not answer and was killed", name, pid))
		}
	}
	return killed
}

// monitorsOf returns the processes that are called like a monitor of name and
// have its life lock's file open. The kernel does not tell which process holds
// such a lock, and other commands open the file only to look at the lock.
func monitorsOf(lifeFile, name string) []int {
	return proc.WithOpenFile(lifeFile, func(pid int) bool { return pid != os.Getpid() && calledMonitor(pid, name) })
}

// calledMonitor reports whether process pid has the command line of a monitor
// of name, as croft or as the holder.
func calledMonitor(pid int, name string) bool {
	text, err := proc.CommandLine(pid)
	if err != nil {
		return false
	}
	args := strings.Split(text, "\x00")
	return args[0] == holderTitle(name) || len(args) > 2 && args[1] == MonitorCommand && args[2] == name
}

// sweepForMonitor sweeps up after a VPS whose monitor could not, and writes down
// that it has ended. The caller holds the life lock.
func (m *Manager) sweepForMonitor(ctx context.Context, v vps.VPS) error {
	err := m.sweep(ctx, v)
	end := endreason.ByKill("it was killed, and so was its monitor")
	return errors.Join(err, m.putEnd(v.Name, end))
}

// putEnd writes down how a VPS has ended that has no monitor to do so. The
// caller holds the life lock.
func (m *Manager) putEnd(name string, end state.End) error {
	run, err := m.store.Run(name)
	if err != nil || run.Schema == 0 {
		return nil // no one can tell what it was doing
	}
	end.Time = time.Now().UTC()
	run.State, run.End, run.Init, run.Monitor = state.Ended, &end, state.Process{}, state.Process{}
	return m.store.PutRun(name, run)
}

// whatStays names what keeps a killed VPS from ending.
func (m *Manager) whyNotEnded(name string) string {
	if init := m.initProcess(name); observe.Alive(init) {
		return fmt.Sprintf("its init (pid %d) is still there: %s", init.PID, container.WhyNotEnded(init.PID))
	}
	for _, pid := range monitorsOf(m.store.LifeFile(name), name) {
		return fmt.Sprintf("its monitor (pid %d) is still there", pid)
	}
	return "its monitor holds its lock"
}

// initProcess is the init of name, as run.json says it, or libcontainer if that
// cannot be read; the zero Process if there is none.
func (m *Manager) initProcess(name string) state.Process {
	run, err := m.store.Run(name)
	if err == nil && run.Schema != 0 && run.State != state.Starting {
		if run.State != state.Running {
			return state.Process{}
		}
		return run.Init
	}
	pid, err := m.containers.Init(name)
	if err != nil || pid <= 0 {
		return state.Process{}
	}
	p, err := observe.ProcessOf(pid)
	if err != nil {
		return state.Process{}
	}
	return p
}

// ask makes the init of v do what is wanted, and goes on asking until ctx
// ends: by its signal as soon as it handles that, after a third of the
// timeout by the command inside, after two thirds by SIGTERM to everything.
func (m *Manager) askInit(ctx context.Context, v vps.VPS, want inits.Intent, timeout time.Duration) {
	command := time.NewTimer(timeout / 3)
	everything := time.NewTimer(timeout * 2 / 3)
	tick := time.NewTicker(pace)
	defer command.Stop()
	defer everything.Stop()
	defer tick.Stop()
	asked := m.askInitOnce(ctx, v.Name, want)
	// A command that hangs must not keep the next stage from coming.
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
				continue // no such command would be its own
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

// askOnce reports whether init could be asked: it runs and handles the signal.
func (m *Manager) askInitOnce(ctx context.Context, name string, want inits.Intent) bool {
	init := m.initProcess(name)
	if !observe.Alive(init) {
		return false
	}
	// A frozen VPS takes no signal; whoever stops it wants it to end.
	if frozen, err := m.containers.Frozen(name); err == nil && frozen {
		if err := m.containers.Thaw(name); err != nil {
			m.warn(err.Error())
		}
	}
	// A guest that does not let its files be read has said nothing about its init.
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
	return m.containers.Signal(name, sig) == nil
}

// terminate sends SIGTERM to every process of the VPS but its init.
func (m *Manager) terminate(name string) {
	init := m.initProcess(name)
	if init.PID == 0 {
		return // it has ended, or its init is not known
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
		if fd, err := unix.PidfdOpen(pid, 0); err == nil && pid != init.PID { // an init may take it for "reboot"
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
	file := paths.StopRequest(s, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("leave word to stop: %w", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return fmt.Errorf("leave word to stop: %w", err)
	}
	return nil
}

// hasSmallInit reports whether the running VPS's init is croft's own.
func (m *Manager) hasSmallInit(name string) bool {
	run, err := m.store.Run(name)
	return err == nil && initkind.Of(proc.Executable(run.Init.PID)) == initkind.Croft
}
