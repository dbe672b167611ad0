package runtime

import (
	"context"
	"math"
	"net/netip"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A Change is what set changes of a VPS. What is nil stays as it is.
type Change struct {
	OnBoot    *vps.OnBoot
	BootOrder *int
	StopTime  *time.Duration // 0 is DefaultStopTimeout

	// Addresses, each for the first interface whose network has such. It may
	// have those that are added already.
	AddAddresses, RemoveAddresses []netip.Addr
	Rates                         []RateSetting // in this order
	Connections                   *int64        // of each interface; see changeConnections
}

// Empty reports whether c changes nothing.
func (c Change) Empty() bool {
	return c.OnBoot == nil && c.BootOrder == nil && c.StopTime == nil && c.Connections == nil &&
		len(c.AddAddresses)+len(c.RemoveAddresses)+len(c.Rates) == 0
}

// Set changes settings of name, saved and, if it runs, at once. It holds the
// VPS's lock from the first check to the end, and checks all of c before it
// changes anything. On an error nothing has changed; what was applied is taken
// back. An address of another owner is fail.Taken, naming it. An address or an
// interface that name does not have is fail.NotFound.
func (m *Manager) Set(ctx context.Context, name string, c Change) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	l, v, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	next := c.apply(v)
	if err := setRates(&next, c.Rates); err != nil {
		return err
	}
	var u undo
	defer func() { u.onError(&err) }()
	readdressed, err := m.changeAllAddresses(ctx, &u, v, c.AddAddresses, c.RemoveAddresses)
	if err == nil && c.Connections != nil {
		err = m.changeConnections(ctx, &u, v, *c.Connections)
	}
	if err != nil {
		return err
	}
	if len(c.Rates) > 0 {
		err = m.changeLocked(ctx, l, v, next, m.applyRates)
	} else {
		err = l.Put(next)
	}
	if err == nil && readdressed {
		m.tellNames(context.WithoutCancel(ctx), networksOf(v))
	}
	return err
}

// apply returns v with the change made to it.
func (c Change) apply(v vps.VPS) vps.VPS {
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
		case vps.OnBootLast, vps.OnBootYes, vps.OnBootNo:
		default:
			return fail.New(fail.Usage, "onboot: %q is none of yes, no, last", *c.OnBoot)
		}
	}
	if c.BootOrder != nil && (*c.BootOrder < 0 || *c.BootOrder > math.MaxInt32) {
		return fail.New(fail.Usage, "boot order: %d is not from 0 to %d", *c.BootOrder, math.MaxInt32)
	}
	if c.StopTime != nil && (*c.StopTime < 0 || *c.StopTime > maxStopTime) {
		return fail.New(fail.Usage, "invalid stop timeout %s", *c.StopTime)
	}
	if c.Connections != nil {
		if err := vps.CheckConnections(*c.Connections); err != nil {
			return err
		}
	}
	for _, r := range c.Rates {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

// maxStopTime is more than anybody means, and few enough seconds for an int.
const maxStopTime = 365 * 24 * time.Hour

// seconds is d in whole seconds, and one at least of what is more than none.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// stopTimeout is how long a stop of v may take before it is killed.
func stopTimeout(v vps.VPS) time.Duration {
	if v.StopAfter <= 0 {
		return DefaultStopTimeout
	}
	return time.Duration(v.StopAfter) * time.Second
}
