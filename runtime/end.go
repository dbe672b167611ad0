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
)

// EndUnknown is the reason of an End that no monitor has seen.
const EndUnknown = endreason.Unknown

// How often a monitor tries again what comes after an end, and after how long
// for the first time; each next pause is twice as long. A host that is busy
// for a moment must not turn a reboot into a power-off.
const (
	sweepTries = 5
	sweepPause = 200 * time.Millisecond
	bootTries  = 5
	bootPause  = time.Second
)

// afterInit is what a monitor does when the init of its VPS has ended, or when
// the VPS has lost its runner. It returns when the VPS stays stopped.
func (mon *monitor) afterInit(ctx context.Context, seen holder.End) error {
	again, err := mon.sweepAfterEnd(ctx, seen)
	if !again {
		return errors.Join(err, mon.removeIfAbandoned(ctx))
	}
	return mon.reboot(ctx)
}

// ended sweeps up after an init that has ended, and reports whether the VPS
// starts again: it has rebooted, and no one has asked it to stop meanwhile. It
// reports that too with an error, which the start that follows may not meet.
func (mon *monitor) sweepAfterEnd(ctx context.Context, seen holder.End) (again bool, err error) {
	v := mon.settings()
	run := mon.lastRun()
	run.End = new(endreason.ByKill("the croft run that it belonged to has ended"))
	if !seen.Abandoned {
		end := endreason.Of(seen)
		// The counter goes with the cgroup, so it is read before the sweep.
		if endreason.WasKilled(end) && !mon.askedToStop() && mon.containers.OutOfMemory(mon.name) {
			end = endreason.OutOfMemory(end)
		}
		run.End = &end
	}
	run.End.Time = time.Now().UTC()
	mon.log.Printf("init has ended: %s", run.End.Detail)
	err = mon.sweepAndUnmount(ctx, v)
	run.State, run.Init, run.Monitor = state.Ended, state.Process{}, state.Process{}
	if e := mon.store.PutRun(mon.name, run); e != nil {
		err = errors.Join(err, e)
	}
	if mon.askedToStop() || seen.Abandoned {
		return false, err
	}
	if endreason.FromInside(*run.End) {
		return false, errors.Join(err, mon.store.UnmarkRunning(mon.name))
	}
	return mon.startsAgain(v, *run.End), err
}

// settings are those of the VPS. If they cannot be read, only its name and
// its interfaces are known.
func (mon *monitor) settings() vps.VPS {
	v, err := mon.store.Get(mon.name)
	if err != nil {
		mon.log.Printf("%v", err)
		v, _ = mon.byNameAlone(mon.name)
	}
	return v
}

// runSoFar is what run.json says, nothing if it cannot be read.
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

// sweepUp removes what the VPS has left, and its root filesystem's mounts. It
// tries more than once.
func (mon *monitor) sweepAndUnmount(ctx context.Context, v vps.VPS) error {
	err := mon.retry(sweepTries, sweepPause, func() error { return mon.sweep(ctx, v) })
	// An adopted VPS's was in the namespace of the monitor that was killed.
	if root, e := mon.rootfs(v); e != nil {
		err = errors.Join(err, e)
	} else if e := mon.rootfses.Unmount(root); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// retry calls do until it succeeds, at most so often, and logs each failure.
// It does not wait once someone has asked the VPS to stop.
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

// pauseUnlessStopped waits, and reports whether no one has asked the VPS to
// stop by then.
func (mon *monitor) pauseUnlessStopped(pause time.Duration) bool {
	for left := pause; left > 0; left -= look.Interval {
		if mon.askedToStop() {
			return false
		}
		mon.sleep(min(left, look.Interval))
	}
	return !mon.askedToStop()
}

// askedToStop reports whether someone has asked the VPS to stop since it was
// started.
func (mon *monitor) askedToStop() bool { return paths.Exists(paths.StopRequest(mon.store, mon.name)) }

// startsAgain reports whether a VPS that has ended so, and was not asked to
// stop, is started again.
func (mon *monitor) startsAgain(v vps.VPS, end state.End) bool {
	if end.Reason == endreason.Rebooted {
		return true
	}
	should, err := mon.store.ShouldRun(mon.name)
	return err == nil && should && mon.mayHaveRebooted(v, end)
}

// mayHaveRebooted reports whether a VPS whose end is not known is taken for one
// that has rebooted: the kernel told the monitor that was killed, and no one
// else. One that has powered off comes up once more then; one that has rebooted
// and stayed down would be an outage. An image's application cannot reboot.
func (m *Manager) mayHaveRebooted(v vps.VPS, end state.End) bool {
	if end.Reason != endreason.Unknown || v.Ephemeral {
		return false
	}
	image, err := m.templates.Resolve(v.Template.Digest)
	return err != nil || !image.Application()
}

// reboot starts the VPS again with its saved settings. A start that fails is
// tried again: the VPS was up, and only the host can be in its way. It returns
// if it cannot be started, or is not to be.
func (mon *monitor) reboot(ctx context.Context) error {
	mon.how = monitorEnded
	return mon.retry(bootTries, bootPause, func() error { return mon.bootOnce(ctx) })
}

// removeIfAbandoned removes the VPS if it is ephemeral and its runner has ended.
// The life lock is given up for that.
func (mon *monitor) removeIfAbandoned(ctx context.Context) error {
	v, err := mon.store.Get(mon.name)
	if err != nil || !mon.abandoned(v) {
		return nil
	}
	mon.life.Close()
	mon.lockWait = time.Minute // a command that waits for this VPS to end
	err = mon.Destroy(ctx, mon.name, DestroyOptions{IfExists: true})
	if fail.Is(err, fail.State) { // it was started again
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove it, because its croft run has ended: %w", err)
	}
	return nil
}
