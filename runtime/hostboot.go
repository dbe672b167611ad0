package runtime

import (
	"cmp"
	"context"
	"errors"
	goruntime "runtime"
	"slices"
	"sync"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/endreason"
	"croft/runtime/inits"
	"croft/runtime/observe"
)

// A HostResult is what became of one VPS in a boot or a shutdown of the host.
type HostResult struct {
	Name string
	Took time.Duration
	Err  error // nil: it was started, or has stopped
}

// BootHost starts the VPSs that should run now that the host has booted: those
// that every boot starts, and those that should have been running when it went
// down, by a shutdown or by a power cut. Those with the highest boot order come
// first; those with the same are started at the same time, as many as the host
// has CPUs. With o.Wait the next order begins when this one has booted. One
// that runs already is left, one that fails is in nobody's way.
//
// tell is called with what became of each as soon as it is known, never twice
// at the same time. The results are in the order of the boot. An error is one
// of the whole, and no VPS's.
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
		e.VPS.Name = e.Name // of a broken one it is all that is known
		if !runs && startsOnBoot(e.VPS, marked) {
			start = append(start, e.VPS)
		}
	}
	groups := bootGroups(start)
	return inGroups(ctx, groups, goruntime.NumCPU(), tell, func(name string) error {
		err := m.Start(ctx, name, o)
		if !fail.Is(err, fail.State) {
			return err
		}
		if runs, e := m.runs(name); e != nil || !runs {
			return err
		}
		return nil // somebody else has started it meanwhile
	})
}

// ShutdownOptions is what a shutdown of the host may be told.
type ShutdownOptions struct {
	Timeout time.Duration // for all of them together; then the rest is killed. 0 is as long as each may take
}

// ShutdownHost stops every VPS that runs, in the reverse order of a boot, those
// with the same boot order at the same time, each with its own timeout. They
// stay marked as those that should run, so that the next boot starts them. One
// that fails is in nobody's way. tell and the results are as in BootHost.
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
	// All that wait do so for others: no bound to how many.
	return inGroups(ctx, groups, len(stop), tell, func(name string) error {
		return m.stopForShutdown(ctx, name, deadline)
	})
}

// stopForShutdown stops one VPS by the deadline, if there is one.
func (m *Manager) stopForShutdown(ctx context.Context, name string, deadline time.Time) error {
	own := DefaultStopTimeout
	if v, err := m.store.Get(name); err == nil {
		own = v.StopTimeout()
	}
	// Whoever is busy with it may be stopping it.
	patient := *m
	patient.lockWait = max(m.lockWait, timeLeft(own, deadline))
	l, err := patient.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if runs, err := m.runs(name); err != nil || !runs {
		return err // stopped meanwhile, and not by us
	}
	v, err := l.VPS()
	if err != nil {
		return err
	}
	// One that an older croft started has no mark.
	if err := m.store.MarkRunning(name); err != nil {
		m.warn(err.Error())
	}
	left := timeLeft(own, deadline)
	if held, err := m.store.LifeHeld(name); err != nil || !held {
		if err == nil {
			err = m.stopOrphan(ctx, v, left)
		}
		return err
	}
	life, err := m.stopLocked(ctx, l, v, StopOptions{Timeout: left, Fast: left <= 0})
	if life != nil {
		life.Close()
	}
	if err == nil && left <= 0 {
		return fail.New(fail.Timeout, "%s was killed: no time was left for it to stop", name)
	}
	return err
}

// stopOrphan stops a VPS whose monitor was killed, and whose lock is held. It
// gets no other one: at a shutdown systemd makes no more scopes. One that has
// not ended in timeout is killed, and that is fail.Timeout.
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
	err := m.sweep(context.WithoutCancel(ctx), v) // which kills what is left
	if err = errors.Join(err, m.putEnd(v.Name, end)); err != nil {
		return err
	}
	if late {
		return fail.New(fail.Timeout, "%s did not stop in %s and was killed", v.Name, timeout.Round(time.Millisecond)).WithHint("croft logs %s", v.Name)
	}
	return nil
}

// until is d, or less if the deadline comes before that.
func timeLeft(d time.Duration, deadline time.Time) time.Duration {
	if deadline.IsZero() {
		return d
	}
	return min(d, time.Until(deadline))
}

// runs reports whether name runs in any way, with a monitor or without.
func (m *Manager) runs(name string) (bool, error) {
	seen, err := m.observe(name)
	return seen.Runs(), err
}

// mayRun reports whether name runs, as far as can be known: one whose run.json
// cannot be read is a warning, and runs if the kernel has processes of it. So
// one bad file stops neither a boot of the host nor a shutdown.
func (m *Manager) mayRun(name string) bool {
	runs, err := m.runs(name)
	if err == nil {
		return runs
	}
	m.warn(err.Error())
	pids, err := m.containers.Remains(name)
	return err != nil || len(pids) > 0
}

// startsOnBoot says whether a boot of the host starts v, which is marked as
// one that should run or is not.
func startsOnBoot(v vps.VPS, marked bool) bool {
	switch {
	case v.Ephemeral: // who ran it is gone
		return false
	case v.OnBoot == vps.OnBootLast:
		return marked
	}
	return v.OnBoot == vps.OnBootYes
}

// bootGroups sorts VPSs into those that are started at the same time, the
// first to be started first.
func bootGroups(all []vps.VPS) [][]string {
	slices.SortFunc(all, func(a, b vps.VPS) int {
		return cmp.Or(cmp.Compare(b.BootOrder, a.BootOrder), cmp.Compare(a.Name, b.Name))
	})
	var groups [][]string
	for i, v := range all {
		if i == 0 || v.BootOrder != all[i-1].BootOrder {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], v.Name)
	}
	return groups
}

// inTurn calls do for each name, one group after the other, for at most limit
// names at the same time. Once ctx is done nobody's turn comes any more, and
// the error says so.
func inGroups(ctx context.Context, groups [][]string, limit int, tell func(HostResult), do func(string) error) ([]HostResult, error) {
	var telling sync.Mutex
	var all []HostResult
	for _, names := range groups {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		results := make([]HostResult, len(names))
		slots := make(chan struct{}, max(limit, 1))
		var working sync.WaitGroup
		for i, name := range names {
			working.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				results[i] = HostResult{Name: name, Err: ctx.Err()}
				if results[i].Err == nil {
					begun := time.Now()
					results[i].Err = do(name)
					results[i].Took = time.Since(begun)
				}
				telling.Lock()
				defer telling.Unlock()
				tell(results[i])
			})
		}
		working.Wait()
		all = append(all, results...)
	}
	return all, ctx.Err()
}
