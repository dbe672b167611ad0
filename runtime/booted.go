package runtime

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
)

// booted reports whether the running VPS's init has finished booting: it said
// so (sd_notify(3)), or, for those that never do, its scripts have ended and
// left their mark: OpenRC a softlevel, sysvinit a runlevel in utmp, croft's
// busybox template /run/booted.
func (m *Manager) booted(name string, run state.Run) bool {
	if exists(bootedFile(m.store, name)) {
		return true
	}
	if run.Init.PID == 0 {
		return false
	}
	root := fmt.Sprintf("/proc/%d/root", run.Init.PID)
	if kindOfInit(exeInside(run.Init.PID)) == initSystemd {
		return run.Adopted && m.systemdIsUp(name) // else it will say so
	}
	return !runsBootScripts(run.Init.PID) && leftBootMark(root)
}

// leftBootMark reports whether an init that never says that it has booted has
// left the mark of its kind.
func leftBootMark(root string) bool {
	for mark, up := range map[string]func([]byte) bool{
		"/run/booted": func([]byte) bool { return true },
		"/run/openrc/softlevel": func(level []byte) bool {
			return openrcIsUp(string(level)) && !existsInside(root, "/run/openrc/rc.starting")
		},
		"/run/utmp": func(utmp []byte) bool { l := runlevel(utmp); return '2' <= l && l <= '5' },
	} {
		if data, err := readInside(root, mark); err == nil && data != nil && up(data) {
			return true
		}
	}
	return false
}

// openrcIsUp reports whether a softlevel is one that OpenRC comes to after the
// levels of its boot.
func openrcIsUp(level string) bool {
	level = strings.TrimSpace(level)
	return level != "" && level != "sysinit" && level != "boot"
}

// runsBootScripts reports whether a child of init still runs the scripts of a
// runlevel: sysvinit's rc or OpenRC. The mark is there before they have ended.
func runsBootScripts(pid int) bool {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return false
	}
	for _, child := range strings.Fields(string(children)) {
		cmdline, err := os.ReadFile(filepath.Join("/proc", child, "cmdline"))
		if err != nil {
			continue // it has just ended
		}
		for _, arg := range strings.Split(string(cmdline), "\x00")[:min(2, strings.Count(string(cmdline), "\x00"))] {
			if base := filepath.Base(arg); base == "rc" || base == "rcS" || base == "openrc" {
				return true
			}
		}
	}
	return false
}

// systemdIsUp asks a systemd whether it has booted.
func (m *Manager) systemdIsUp(name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state, _ := m.output(ctx, name, "systemctl", "is-system-running") // degraded is not status 0
	state = strings.TrimSpace(state)
	return state == "running" || state == "degraded"
}

// runlevel returns the current runlevel from the content of a utmp(5) file, 0
// if it has none.
func runlevel(utmp []byte) byte {
	const (
		record  = 384 // sizeof(struct utmp), the same on all of glibc's architectures
		runLvl  = 1   // RUN_LVL, ut_type
		pidFrom = 4   // ut_pid: the runlevel in its low byte, the one before above it
	)
	var level byte
	for len(utmp) >= record {
		if int16(binary.NativeEndian.Uint16(utmp)) == runLvl {
			level = byte(binary.NativeEndian.Uint32(utmp[pidFrom:]))
		}
		utmp = utmp[record:]
	}
	return level
}

// Wait returns when name is in the condition asked for: fail.Timeout if that
// does not happen in timeout (0 is forever), fail.State if it cannot any more.
func (m *Manager) Wait(ctx context.Context, name string, until Condition, timeout time.Duration) error {
	if _, err := state.ParseName(name); err != nil {
		return err
	}
	if _, err := m.store.Get(name); err != nil {
		return err
	}
	return m.await(ctx, name, until, timeout, func(Status) error { return nil })
}

// awaitBoot is Wait for a VPS that has just been started: if it ends, it will
// not come back.
func (m *Manager) awaitBoot(ctx context.Context, name string, until Condition, timeout time.Duration) error {
	if timeout == 0 {
		timeout = DefaultBootTimeout
	}
	err := m.await(ctx, name, until, timeout, func(s Status) error {
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

func (m *Manager) await(ctx context.Context, name string, until Condition, timeout time.Duration, hopeless func(Status) error) error {
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		run, err := m.store.Run(name)
		if err != nil {
			return err
		}
		status, err := m.status(name, run)
		if err != nil {
			return err
		}
		done, err := m.reached(ctx, name, until, status, run)
		if done || err != nil {
			return err
		}
		if err := hopeless(status); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-expired:
			return fail.New(fail.Timeout, "%s is not %s after %s", name, until, timeout)
		case <-tick.C:
		}
	}
}

// reached reports whether a VPS with that status is in the condition.
func (m *Manager) reached(ctx context.Context, name string, until Condition, s Status, run state.Run) (bool, error) {
	up := s == StatusRunning || s == StatusPaused || s == StatusOrphaned
	switch until {
	case UntilStopped:
		return s == StatusStopped, nil
	case UntilRunning:
		return up, nil
	case UntilBooted:
		return up && m.booted(name, run), nil
	case UntilNetwork:
		if !up || !m.booted(name, run) {
			return false, nil
		}
		return m.answers(ctx, name)
	}
	return false, fail.New(fail.Usage, "no such condition: %s", until).WithHint("running, stopped, booted or network")
}

// howEnded is one line about the last end of a VPS.
func (m *Manager) howEnded(name string) string {
	run, err := m.store.Run(name)
	if err != nil || run.End == nil {
		return "nobody knows how"
	}
	return run.End.Detail
}

// warnDegraded says which units of a booted systemd have failed.
func (m *Manager) warnDegraded(ctx context.Context, name string) {
	run, err := m.store.Run(name)
	if err != nil || kindOfInit(exeInside(run.Init.PID)) != initSystemd {
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
