package runtime

import (
	"context"
	"math"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
)

// OnBoot says whether a boot of the host starts a VPS.
type OnBoot = state.OnBoot

// What can be said of that.
const (
	OnBootLast = state.OnBootLast
	OnBootYes  = state.OnBootYes
	OnBootNo   = state.OnBootNo
)

// A Change is what set changes of a VPS. What is nil stays as it is.
type Change struct {
	OnBoot    *OnBoot
	BootOrder *int
	StopTime  *time.Duration // 0 is DefaultStopTimeout
}

// Set changes the settings of name, which need not be stopped. On an error
// none of them has changed.
func (m *Manager) Set(ctx context.Context, name string, c Change) error {
	if err := c.check(); err != nil {
		return err
	}
	l, err := m.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v, err := l.VPS()
	if err != nil {
		return err
	}
	return l.Put(c.apply(v))
}

// apply returns v with the change made to it.
func (c Change) apply(v state.VPS) state.VPS {
	if c.OnBoot != nil {
		v.OnBoot = *c.OnBoot
	}
	if c.BootOrder != nil {
		v.BootOrder = *c.BootOrder
	}
	if c.StopTime != nil {
		v.StopAfter = seconds(*c.StopTime)
	}
	return v
}

// check refuses what makes no sense.
func (c Change) check() error {
	if c.OnBoot != nil {
		switch *c.OnBoot {
		case OnBootLast, OnBootYes, OnBootNo:
		default:
			return fail.New(fail.Usage, "onboot: %q is none of yes, no, last", *c.OnBoot)
		}
	}
	if c.BootOrder != nil && (*c.BootOrder < 0 || *c.BootOrder > math.MaxInt32) {
		return fail.New(fail.Usage, "boot order: %d is not from 0 to %d", *c.BootOrder, math.MaxInt32)
	}
	if c.StopTime != nil && (*c.StopTime < 0 || *c.StopTime > maxStopTime) {
		return fail.New(fail.Usage, "stop timeout: %s is no time for a stop", *c.StopTime)
	}
	return nil
}

// maxStopTime is more than anybody means, and few enough seconds for an int.
const maxStopTime = 365 * 24 * time.Hour

// seconds is d in whole seconds, and one at least of what is more than none.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// stopTimeout is how long a stop of v may take before it is killed.
func stopTimeout(v state.VPS) time.Duration {
	if v.StopAfter <= 0 {
		return DefaultStopTimeout
	}
	return time.Duration(v.StopAfter) * time.Second
}

func onBootText(o OnBoot) string {
	if o == OnBootLast {
		return "last"
	}
	return string(o)
}
