package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/container"
	"croft/runtime/endreason"
	"croft/runtime/observe"
	"croft/runtime/paths"
)

// killPatience is how long a killed VPS may take to end, and exitPatience how long
// while the kernel is ending its init, which can write data to the disk then.
// sweepPatience is how long the monitor may take after the last process has ended.
// A monitor that is stopped gets no time.
const (
	killPatience  = 30 * time.Second
	exitPatience  = 2 * time.Minute
	sweepPatience = 10 * time.Second
)

// killLocked kills all processes of a VPS, waits until its monitor has removed what
// they left, and returns the life lock. It kills a monitor that does not do that, and
// does it instead.
func (m *Manager) killLocked(ctx context.Context, l *state.Locked, v vps.VPS) (*os.File, error) {
	bounded, cancel := context.WithTimeout(ctx, exitPatience)
	defer cancel()
	var failed error
	var dead time.Time // since when nothing runs inside
	killed := false
	begun := time.Now()
	for bounded.Err() == nil && (time.Since(begun) < killPatience || m.exiting(l.Name())) {
		// Again each time: a VPS that reboots now gets a new container.
		if err := m.containers.Kill(string(l.Name())); err != nil && !errors.Is(err, container.ErrAbsent) {
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
func (m *Manager) exiting(name vps.Name) bool {
	init := m.initProcess(name)
	return observe.Alive(init) && container.Exiting(init.PID)
}

// lifeWithin waits for the life lock no longer than limit.
func (m *Manager) lifeWithin(ctx context.Context, l *state.Locked, limit time.Duration) (*os.File, error) {
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return l.WaitLife(short)
}

// killMonitor kills the monitor of name if it is stopped, or in any case if late is
// set. It reports whether it has killed one.
func (m *Manager) killMonitor(name vps.Name, late bool) (killed bool) {
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
func monitorsOf(lifeFile string, name vps.Name) []int {
	return proc.WithOpenFile(lifeFile, func(pid int) bool { return pid != os.Getpid() && calledMonitor(pid, name) })
}

// calledMonitor reports whether process pid has the command line of a monitor
// of name, as croft or as the holder.
func calledMonitor(pid int, name vps.Name) bool {
	text, err := proc.CommandLine(pid)
	if err != nil {
		return false
	}
	args := strings.Split(text, "\x00")
	return args[0] == holderTitle(name) || len(args) > 2 && args[1] == MonitorCommand && args[2] == string(name)
}

// sweepForMonitor removes what a VPS has left whose monitor was killed, and records
// its end. The caller holds the life lock.
func (m *Manager) sweepForMonitor(ctx context.Context, v vps.VPS) error {
	err := m.sweep(ctx, v)
	end := endreason.ByKill("it was killed, and so was its monitor")
	return errors.Join(err, m.putEnd(v.Name, end))
}

// putEnd records the end of a VPS without a monitor. The caller holds the life lock.
func (m *Manager) putEnd(name vps.Name, end state.End) error {
	run, err := m.store.Run(name)
	if err != nil || run.Schema == 0 {
		return nil // there is no record to complete
	}
	end.Time = time.Now().UTC()
	m.tellStopped(m.nameAndID(name), end, paths.Exists(paths.StopRequest(m.store, name)))
	run.State, run.End, run.Init, run.Monitor = state.Ended, &end, state.Process{}, state.Process{}
	return m.store.PutRun(name, run)
}

// whyNotEnded names what keeps a killed VPS from ending.
func (m *Manager) whyNotEnded(name vps.Name) string {
	if init := m.initProcess(name); observe.Alive(init) {
		return fmt.Sprintf("its init (pid %d) is still there: %s", init.PID, container.WhyNotEnded(init.PID))
	}
	for _, pid := range monitorsOf(m.store.LifeFile(name), name) {
		return fmt.Sprintf("its monitor (pid %d) is still there", pid)
	}
	return "its monitor holds its lock"
}

// killStrays makes sure that v, which has no monitor, has no processes in its
// cgroup, whatever its files say. With force it kills them. Otherwise they are
// fail.State.
func (m *Manager) killStrays(v vps.VPS, force bool) error {
	pids, err := m.containers.Remains(string(v.Name))
	if err != nil || len(pids) == 0 {
		return err
	}
	if !force {
		return fail.New(fail.State, "%s is running without its monitor (pid %d), and a running VPS is destroyed only with --force", v.Name, pids[0]).WithHint("croft list %s", v.Name)
	}
	m.warn(fmt.Sprintf("%s ran without its monitor, and is killed", v.Name))
	m.killHolder(pids)
	return m.containers.EndRemains(string(v.Name))
}

// killHolder kills the holder of a VPS whose processes are pids. A holder that lost
// its run directory would otherwise remove what belongs to that name when init ends,
// and the name may belong to another VPS then.
func (m *Manager) killHolder(pids []int) {
	for _, pid := range pids {
		stat, err := proc.ReadStat(pid)
		if err != nil || stat.Parent <= 1 || slices.Contains(pids, stat.Parent) {
			continue
		}
		fd, err := unix.PidfdOpen(stat.Parent, 0)
		if err != nil {
			continue
		}
		exe := proc.Executable(stat.Parent)
		if strings.HasPrefix(exe, filepath.Join(m.store.BinDir(), "holder-")) {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		unix.Close(fd)
	}
}
