package runtime

import (
	"cmp"
	"context"
	"errors"
	goruntime "runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/endreason"
	"croft/runtime/hooks"
	"croft/runtime/inits"
	"croft/runtime/observe"
)

// A HostResult is the result for one VPS of a boot or a shutdown of the host.
type HostResult struct {
	Name vps.Name
	Took time.Duration
	Err  error // nil if it was started or has stopped
}

// BootHost starts the VPSs that should run after a boot of the host: those that every
// boot starts, and those that should have been running when the host went down, by a
// shutdown or a power cut. VPSs with the highest boot order start first. VPSs with the
// same order start at the same time, as many as the host has CPUs. With o.Wait the
// next order starts when this one has booted. A VPS that fails does not stop others.
// No-op for a VPS that runs already.
//
// BootHost calls tell with each result as soon as there is one, never twice at the
// same time. It returns the results in the order of the boot. An error is not about
// one VPS.
func (m *Manager) BootHost(ctx context.Context, o StartOptions, tell func(HostResult)) ([]HostResult, error) {
	m.emptyTrash(ctx)
	m.destroyAbandoned(ctx)
	entries, err := m.store.All()
	if err != nil {
		return nil, err
	}
	var start []vps.VPS
	for _, e := range entries {
		marked, err := m.store.ShouldRun(e.Name)
		if err != nil {
			m.warn(err.Error())
		}
		runs := m.mayRun(e.Name)
		e.VPS.Name = e.Name // the settings of a broken VPS have no name
		if !runs && startsOnBoot(e.VPS, marked) && !m.elsewhere(e.Name) {
			start = append(start, e.VPS)
		}
	}
	groups := bootGroups(start)
	return inGroups(ctx, groups, goruntime.NumCPU(), tell, func(name vps.Name) error {
		err := m.Start(ctx, name, o)
		if !fail.Is(err, fail.State) {
			return err
		}
		if runs, e := m.runs(name); e != nil || !runs {
			return err
		}
		return nil // another command has started it meanwhile
	})
}

// ShutdownOptions are the options of a shutdown of the host.
type ShutdownOptions struct {
	Timeout time.Duration // for all VPSs together; then the rest is killed. 0: only the timeout of each
}

// ShutdownHost stops all running VPSs in the reverse order of BootHost. VPSs with the
// same boot order stop at the same time, each within its own timeout. The next boot of
// the host starts them again. A VPS that fails does not stop others. tell and the
// results are as in BootHost.
func (m *Manager) ShutdownHost(ctx context.Context, o ShutdownOptions, tell func(HostResult)) ([]HostResult, error) {
	entries, err := m.store.All()
	if err != nil {
		return nil, err
	}
	var stop []vps.VPS
	for _, e := range entries {
		e.VPS.Name = e.Name
		if m.mayRun(e.Name) {
			stop = append(stop, e.VPS)
		}
	}
	var deadline time.Time
	if o.Timeout > 0 {
		deadline = time.Now().Add(o.Timeout)
	}
	groups := bootGroups(stop)
	slices.Reverse(groups)
	// A stop mostly waits, so their number needs no limit.
	return inGroups(ctx, groups, len(stop), tell, func(name vps.Name) error {
		return m.stopForShutdown(ctx, name, deadline)
	})
}

// stopForShutdown stops one VPS, before the deadline if there is one.
func (m *Manager) stopForShutdown(ctx context.Context, name vps.Name, deadline time.Time) error {
	own := DefaultStopTimeout
	if v, err := m.store.Get(name); err == nil {
		own = v.StopTimeout()
	}
	// Another command that holds the lock may be stopping the VPS.
	patient := *m
	patient.lockWait = max(m.lockWait, timeLeft(own, deadline))
	l, err := patient.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if runs, err := m.runs(name); err != nil || !runs {
		return err // another command has stopped it
	}
	v, err := l.VPS()
	if err != nil {
		return err
	}
	// An older croft did not record that at the start.
	if err := m.store.MarkRunning(name); err != nil {
		m.warn(err.Error())
	}
	m.afterwards(ctx, hooks.PreStop, v) // the host goes down anyway
	defer m.afterStop(ctx, v)
	left := timeLeft(own, deadline)
	if held, err := m.store.LifeHeld(name); err != nil || !held {
		if err == nil {
			err = m.stopOrphan(ctx, v, left)
		}
		return err
	}
	life, err := m.stopLocked(ctx, l, v, StopOptions{Timeout: left, Fast: left <= 0})
	if life != nil {
		state.ReleaseLife(life)
	}
	if err == nil && left <= 0 {
		return fail.New(fail.Timeout, "%s was killed: no time was left for it to stop", name)
	}
	return err
}

// stopOrphan stops a VPS without a monitor whose lock is held. It does not give it a
// new monitor, because systemd creates no scopes during a shutdown. A VPS that does
// not end within timeout is killed, which is fail.Timeout.
func (m *Manager) stopOrphan(ctx context.Context, v vps.VPS, timeout time.Duration) error {
	if err := requestStop(m.store, v.Name); err != nil {
		m.warn(err.Error())
	}
	init := m.initProcess(v.Name)
	bounded, cancel := context.WithTimeout(ctx, timeout)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		m.askInit(bounded, v, inits.PowerOff, max(timeout, time.Millisecond))
	}()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for observe.Alive(init) && bounded.Err() == nil {
		select {
		case <-bounded.Done():
		case <-tick.C:
		}
	}
	cancel()
	<-asked
	if err := ctx.Err(); err != nil {
		return err
	}
	end := state.End{Reason: endreason.Halted, Detail: "it was stopped without a monitor"}
	late := observe.Alive(init)
	if late {
		end = endreason.ByKill("it was killed without a monitor")
	}
	err := m.sweep(context.WithoutCancel(ctx), v) // this kills the remaining processes
	if err = errors.Join(err, m.putEnd(v.Name, end)); err != nil {
		return err
	}
	if late {
		return fail.New(fail.Timeout, "%s did not stop in %s and was killed", v.Name, timeout.Round(time.Millisecond)).WithHint("croft logs %s", v.Name)
	}
	return nil
}

// timeLeft returns d, or the time to the deadline if that is shorter.
func timeLeft(d time.Duration, deadline time.Time) time.Duration {
	if deadline.IsZero() {
		return d
	}
	return min(d, time.Until(deadline))
}

// runs reports whether name runs in any way, with a monitor or without.
func (m *Manager) runs(name vps.Name) (bool, error) {
	seen, err := m.observe(name)
	return seen.Runs(), err
}

// mayRun reports whether name runs. If its record cannot be read that is a warning,
// and the VPS runs if the kernel has processes of it. So one bad file does not stop a
// boot or a shutdown of the host.
func (m *Manager) mayRun(name vps.Name) bool {
	runs, err := m.runs(name)
	if err == nil {
		return runs
	}
	m.warn(err.Error())
	pids, err := m.containers.Remains(string(name))
	return err != nil || len(pids) > 0
}

// startsOnBoot reports whether a boot of the host starts v. marked says that v should
// have been running.
func startsOnBoot(v vps.VPS, marked bool) bool {
	switch {
	case v.Ephemeral: // its croft run has ended
		return false
	case v.OnBoot == vps.OnBootLast:
		return marked
	}
	return v.OnBoot == vps.OnBootYes
}

// bootGroups returns groups of VPSs that start at the same time, in the order in
// which they start.
func bootGroups(all []vps.VPS) [][]vps.Name {
	slices.SortFunc(all, func(a, b vps.VPS) int {
		return cmp.Or(cmp.Compare(b.BootOrder, a.BootOrder), cmp.Compare(a.Name, b.Name))
	})
	var groups [][]vps.Name
	for i, v := range all {
		if i == 0 || v.BootOrder != all[i-1].BootOrder {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], v.Name)
	}
	return groups
}

// inGroups calls do for each name, one group after the other, for at most limit names
// at the same time. When ctx is done it does not call do any more and returns the
// error of ctx.
func inGroups(ctx context.Context, groups [][]vps.Name, limit int, tell func(HostResult), do func(vps.Name) error) ([]HostResult, error) {
	var telling sync.Mutex
	var all []HostResult
	for _, names := range groups {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		results := make([]HostResult, len(names))
		var group errgroup.Group
		group.SetLimit(max(limit, 1))
		for i, name := range names {
			group.Go(func() error {
				results[i] = HostResult{Name: name, Err: ctx.Err()}
				if results[i].Err == nil {
					begun := time.Now()
					results[i].Err = do(name)
					results[i].Took = time.Since(begun)
				}
				telling.Lock()
				defer telling.Unlock()
				tell(results[i])
				return nil // a failure does not stop the others
			})
		}
		if err := group.Wait(); err != nil {
			return all, err
		}
		all = append(all, results...)
	}
	return all, ctx.Err()
}
