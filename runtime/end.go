package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/consolelog"
	"croft/runtime/endreason"
	"croft/runtime/holder"
	"croft/runtime/look"
	"croft/runtime/paths"
	"croft/runtime/restarts"
)

// EndUnknown is the reason of an End that no monitor has seen.
const EndUnknown = endreason.Unknown

// A monitor repeats the steps after an end of its VPS this often. The first pause
// is this long, and each next one is twice as long. So a host that is busy for a
// moment does not turn a reboot into a power-off.
const (
	sweepTries = 5
	sweepPause = 200 * time.Millisecond
	bootTries  = 5
	bootPause  = time.Second
)

// next is what follows the end of a VPS.
type next int

const (
	staysDown  next = iota
	startsNow       // it has rebooted
	startsSoon      // its restart policy says so; the record has the pause
)

// afterInit is the monitor after the end of init, or after the end of the croft run
// that the VPS belongs to. It returns if the VPS stays stopped.
func (mon *monitor) afterInit(ctx context.Context, seen holder.End) error {
	next, err := mon.sweepAfterEnd(ctx, seen)
	switch next {
	case startsNow:
		if err = mon.reboot(ctx); err == nil || mon.askedToStop() || !mon.planRestart() {
			return err
		}
		return mon.restart(ctx)
	case startsSoon:
		return mon.restart(ctx)
	}
	return errors.Join(err, mon.removeIfAbandoned(ctx))
}

// sweepAfterEnd removes what the VPS has left and records how it ended. It returns
// whether the VPS starts again. It can start again with an error: the start may
// succeed.
func (mon *monitor) sweepAfterEnd(ctx context.Context, seen holder.End) (next next, err error) {
	v := mon.settings()
	run := mon.lastRun()
	run.End = new(endreason.ByKill("the croft run that it belonged to has ended"))
	if !seen.Abandoned {
		end := endreason.Of(seen)
		// The sweep removes the cgroup and its counter.
		if endreason.WasKilled(end) && !mon.askedToStop() && mon.containers.OutOfMemory(string(mon.name)) {
			end = endreason.OutOfMemory(end)
		}
		run.End = &end
	}
	run.End.Time = time.Now().UTC()
	mon.log.Printf("init has ended: %s", run.End.Detail)
	err = errors.Join(mon.sweepAndUnmount(ctx, v), mon.dropCheckpointAfter(*run.End))
	run.State, run.Init, run.Monitor = state.Ended, state.Process{}, state.Process{}
	next = mon.afterEnd(v, &run, seen.Abandoned)
	if e := mon.store.PutRun(mon.name, run); e != nil {
		err = errors.Join(err, e)
	}
	mon.tellStopped(v, *run.End, mon.askedToStop())
	if !mon.askedToStop() { // otherwise the command does it
		mon.afterStop(ctx, v)
	}
	if next == staysDown && !seen.Abandoned && !mon.askedToStop() && endreason.FromInside(*run.End) {
		err = errors.Join(err, mon.store.UnmarkRunning(mon.name))
	}
	return next, err
}

// afterEnd decides what follows the end of v as run has it, and writes into run when
// v is restarted. A command that has asked v to stop meanwhile always wins.
func (mon *monitor) afterEnd(v vps.VPS, run *state.Run, abandoned bool) next {
	if mon.askedToStop() || abandoned {
		return staysDown
	}
	if mon.startsAgain(v, *run.End) {
		return startsNow
	}
	if !mon.plan(v, run, run.End.Time.Sub(run.Started)) {
		return staysDown
	}
	return startsSoon
}

// plan writes into run when v, which ran for a time, is restarted. It reports false
// if the restart policy does not say so.
func (mon *monitor) plan(v vps.VPS, run *state.Run, ran time.Duration) bool {
	restarts, again := restarts.Next(v.Restart, run.Restarts, *run.End, ran)
	run.Restarts = restarts
	if !again {
		return false
	}
	run.Restarts.At = new(time.Now().UTC().Add(restarts.Pause()))
	mon.log.Printf("restart %d in %s (policy %s)", restarts.Count, restarts.Pause(), v.Restart)
	return true
}

// planRestart is plan after a start that failed, with the record.
func (mon *monitor) planRestart() bool {
	run := mon.lastRun()
	if run.End == nil || !mon.plan(mon.settings(), &run, 0) {
		return false
	}
	if err := mon.store.PutRun(mon.name, run); err != nil {
		mon.log.Printf("%v", err)
	}
	return true
}

// restart starts the VPS after the pause that is planned, and again if the start
// fails, as its restart policy says. It returns if the VPS stays stopped.
func (mon *monitor) restart(ctx context.Context) error {
	mon.how, mon.restarts = monitorEnded, true
	for {
		if !mon.awaitRestart() {
			return mon.giveUpRestart()
		}
		err := mon.bootOnce(ctx)
		if err == nil || mon.askedToStop() || !mon.planRestart() {
			return err
		}
		mon.log.Printf("%v", err)
	}
}

// awaitRestart waits until the VPS is to start again. It returns early with false if
// a command has asked the VPS to stop, or has changed its policy.
func (mon *monitor) awaitRestart() bool {
	run := mon.lastRun()
	for left := run.Restarts.Pause(); left > 0; left -= pace {
		if v, err := mon.store.Get(mon.name); err == nil && !restarts.Wants(v.Restart, *run.End) {
			return false
		}
		if !mon.pauseUnlessStopped(min(left, pace)) {
			return false
		}
	}
	return true
}

// giveUpRestart records that the VPS is not restarted.
func (mon *monitor) giveUpRestart() error {
	run := mon.lastRun()
	run.Restarts.At = nil
	err := mon.store.PutRun(mon.name, run)
	if !mon.askedToStop() && endreason.FromInside(*run.End) {
		err = errors.Join(err, mon.store.UnmarkRunning(mon.name))
	}
	return err
}

// settings returns the settings of the VPS. If they cannot be read it has only its
// name and its interfaces.
func (mon *monitor) settings() vps.VPS {
	v, err := mon.store.Get(mon.name)
	if err != nil {
		mon.log.Printf("%v", err)
		v, _ = mon.byNameAlone(mon.name)
	}
	return v
}

// lastRun returns the run of the VPS as recorded; a minimal one if there is no
// valid record.
func (mon *monitor) lastRun() state.Run {
	run, err := mon.store.Run(mon.name)
	if err == nil && run.Schema != 0 {
		return run
	}
	if err != nil {
		mon.log.Printf("%v", err)
	}
	logs, _ := consolelog.Open(mon.store.LogDir(mon.name))
	return state.Run{Schema: state.Schema, HostBoot: mon.store.HostBoot(), Boot: logs.Next() - 1}
}

// sweepAndUnmount is sweep, repeated after errors, and then unmounts the root
// filesystem.
func (mon *monitor) sweepAndUnmount(ctx context.Context, v vps.VPS) error {
	err := mon.retry(sweepTries, sweepPause, func() error { return mon.sweep(ctx, v) })
	// No-op for an adopted VPS: the mounts ended with the monitor that was killed.
	if root, e := mon.rootfs(v); e != nil {
		err = errors.Join(err, e)
	} else if e := mon.rootfses.Unmount(root); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// retry calls do until it succeeds, at most tries times, and logs each error. It
// does not repeat it if a command has asked the VPS to stop.
func (mon *monitor) retry(tries int, pause time.Duration, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil {
			return nil
		}
		mon.log.Printf("attempt %d of %d: %v", try, tries, err)
		if try == tries || !mon.pauseUnlessStopped(pause) {
			return err
		}
		pause *= 2
	}
}

// pauseUnlessStopped waits. It returns early with false if a command has asked the
// VPS to stop.
func (mon *monitor) pauseUnlessStopped(pause time.Duration) bool {
	for left := pause; left > 0; left -= look.Interval {
		if mon.askedToStop() {
			return false
		}
		mon.sleep(min(left, look.Interval))
	}
	return !mon.askedToStop()
}

// askedToStop reports whether a command has asked the VPS to stop since its start.
func (mon *monitor) askedToStop() bool { return paths.Exists(paths.StopRequest(mon.store, mon.name)) }

// startsAgain reports whether a VPS with this end, which was not asked to stop,
// starts again.
func (mon *monitor) startsAgain(v vps.VPS, end state.End) bool {
	if end.Reason == endreason.Rebooted {
		return true
	}
	should, err := mon.store.ShouldRun(mon.name)
	return err == nil && should && mon.mayHaveRebooted(v, end)
}

// mayHaveRebooted reports whether an end counts as a reboot because it is unknown:
// the kernel told only the monitor, which was killed. So a VPS that has powered off
// starts once more, but a VPS that has rebooted does not stay down. The application
// of an image cannot reboot.
func (m *Manager) mayHaveRebooted(v vps.VPS, end state.End) bool {
	if end.Reason != endreason.Unknown || v.Ephemeral {
		return false
	}
	image, err := m.templates.Resolve(v.Template.Digest)
	return err != nil || !image.Application()
}

// reboot starts the VPS again with its saved settings. It repeats a start that fails,
// because the VPS did run before. It returns if the VPS cannot be started, or was
// asked to stop.
func (mon *monitor) reboot(ctx context.Context) error {
	mon.how = monitorEnded
	return mon.retry(bootTries, bootPause, func() error { return mon.bootOnce(ctx) })
}

// removeIfAbandoned destroys the VPS if it is ephemeral and its croft run has ended.
// It releases the life lock first.
func (mon *monitor) removeIfAbandoned(ctx context.Context) error {
	v, err := mon.store.Get(mon.name)
	if fail.Is(err, fail.NotFound) { // a command has destroyed it
		mon.forgetLeft(mon.name)
	}
	if err != nil || !mon.abandoned(v) {
		return nil
	}
	state.ReleaseLife(mon.life)
	// Another command may wait for the end of this VPS. If that destroys it, and another VPS gets
	// its name, that one is not abandoned.
	err = mon.destroyIfAbandoned(ctx, mon.name, time.Minute)
	if fail.Is(err, fail.State) { // a command has started it again
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove it, because its croft run has ended: %w", err)
	}
	return nil
}
