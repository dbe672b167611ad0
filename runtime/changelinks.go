package runtime

import (
	"context"
	"errors"
	"slices"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

// While a change adds or removes interfaces, vps.json has them in Detached: their claims
// and what they have on the host belong to no interface of the VPS then. If croft is
// killed, the next command that locks the VPS removes them (finishDetach), and so does
// a stop or destroy.

// sameLink reports whether both are one interface of a VPS.
func sameLink(a, b vps.Interface) bool { return a.Name == b.Name && a.Network == b.Network }

// linksMissing returns the interfaces of all that others does not have.
func linksMissing(all, others []vps.Interface) []vps.Interface {
	_, no := tables.Partition(all, func(i vps.Interface) bool {
		return slices.ContainsFunc(others, func(o vps.Interface) bool { return sameLink(i, o) })
	})
	return no
}

// attached are the interfaces that the change adds.
func (c *change) attached() []vps.Interface {
	return linksMissing(c.now.Interfaces, c.was.Interfaces)
}

// detached are the interfaces that the change removes.
func (c *change) detached() []vps.Interface {
	return linksMissing(c.was.Interfaces, c.now.Interfaces)
}

// claimInterfaces claims the added interfaces, and makes c.now name the removed ones
// until releaseInterfaces. Before a claim exists, vps.json names it.
func (c *change) claimInterfaces(ctx context.Context) error {
	more, fewer := c.attached(), c.detached()
	c.parts[vps.PartInterfaces] = len(more)+len(fewer) > 0
	if !c.parts[vps.PartInterfaces] {
		return nil
	}
	for _, i := range more {
		if slices.ContainsFunc(c.was.Interfaces, func(w vps.Interface) bool { return w.Network == i.Network }) {
			return fail.New(fail.Usage, "%s: the interface on network %s cannot be removed and added in one call: use two calls", c.now.Name, i.Network)
		}
	}
	was := c.was.Clone()
	was.Detached = more
	c.undo.Arm(func() error { return c.lock.Put(c.was.VPS) })
	if err := c.lock.Put(was); err != nil {
		return err
	}
	for _, i := range more {
		c.undo.Arm(func() error { return c.release(context.WithoutCancel(ctx), i) })
		if err := c.networkTables().ClaimInterface(ctx, c.now.VPS, i); err != nil {
			return err
		}
	}
	c.now.Detached = fewer
	return nil
}

// release releases the claim of one interface.
func (c *change) release(ctx context.Context, i vps.Interface) error {
	return c.networkTables().Release(ctx, vps.VPS{Name: c.now.Name, Interfaces: []vps.Interface{i}})
}

// checkInterfaces rejects what only a stopped VPS can get or lose, and a VPS that has
// published ports without a network for them.
func (c *change) checkInterfaces() error {
	if !c.parts[vps.PartInterfaces] {
		return nil
	}
	if c.now.err != nil {
		return c.now.err
	}
	if _, err := c.now.publishing(); err != nil && len(c.now.Published) > 0 {
		return fail.New(fail.State, "%s has published ports: %w", c.now.Name, err).WithHint("croft publish %s list", c.now.Name)
	}
	init, err := c.liveInit(c.now.Name)
	if err != nil || init.PID == 0 {
		return err
	}
	for _, p := range slices.Concat(c.plansOf(c.now, c.attached()), c.plansOf(c.was, c.detached())) {
		if p.Mode == network.ModePhysical {
			return fail.New(fail.State, "network %s gives a VPS the link %s when it starts: stop %s first", p.Network, p.Parent, c.now.Name)
		}
	}
	return nil
}

func (c *change) plansOf(s side, interfaces []vps.Interface) []network.Plan {
	var all []network.Plan
	for _, i := range interfaces {
		all = append(all, s.plan(i))
	}
	return all
}

// applyInterfaces makes a running VPS have the interfaces of to. An interface that stays
// can get the default route of one that goes.
func (c *change) applyInterfaces(ctx context.Context, from, to side) error {
	for _, p := range c.plansOf(from, linksMissing(from.Interfaces, to.Interfaces)) {
		if err := c.networks.Leave(ctx, p, c.init); err != nil {
			return err
		}
	}
	for _, p := range c.plansOf(to, linksMissing(to.Interfaces, from.Interfaces)) {
		if err := c.join(ctx, p, c.init); err != nil {
			return err
		}
	}
	for _, i := range to.Interfaces {
		was, now := from.plan(i), to.plan(i)
		if was.Interface != "" && !slices.Equal(was.DefaultRoutes(), now.DefaultRoutes()) {
			if err := c.networks.Readdress(ctx, was, now, c.init); err != nil {
				return err
			}
		}
	}
	c.noteFilters(to.Name, c.plansOf(to, to.Interfaces))
	return nil
}

// join gives a running VPS an interface that is planned.
func (m *Manager) join(ctx context.Context, p network.Plan, init inside.Identity) error {
	t, err := m.networkTables().Get(p.Network) // with the ports of all
	if err != nil {
		return err
	}
	if err := m.networks.EnsureAtStart(ctx, t); err != nil {
		return err
	}
	return m.networks.Join(ctx, p, init)
}

// releaseInterfaces releases the claims of the removed interfaces: from then on others
// can have their addresses.
func (c *change) releaseInterfaces(ctx context.Context) error {
	if !c.parts[vps.PartInterfaces] {
		return nil
	}
	for _, p := range c.was.plugs {
		i := vps.Interface{Name: p.Claim.Interface, Network: p.Table.Name}
		if !slices.ContainsFunc(c.now.Detached, func(d vps.Interface) bool { return sameLink(d, i) }) {
			continue
		}
		c.undo.Arm(func() error {
			return c.networkTables().Change(context.WithoutCancel(ctx), i.Network, func(t *network.Table) error {
				_, err := t.Reclaim(p.Claim, nil, false)
				return err
			})
		})
		if err := c.release(ctx, i); err != nil {
			return err
		}
	}
	if len(c.now.Detached) == 0 {
		return nil
	}
	c.now.Detached = nil
	return c.lock.Put(c.now.VPS)
}

// finishDetach completes what a killed change has left: see above. No-op if nothing is
// left.
func (m *Manager) finishDetach(ctx context.Context, l *state.Locked, v vps.VPS) (vps.VPS, error) {
	if len(v.Detached) == 0 {
		return v, nil
	}
	init, err := m.liveInit(v.Name)
	if err != nil {
		return v, err
	}
	for _, p := range m.networkTables().PlugsLeft(vps.VPS{Name: v.Name, Interfaces: v.Detached}) {
		if init.PID == 0 {
			err = m.networks.Unplug(ctx, p.Plan)
		} else {
			err = m.networks.Leave(ctx, p.Plan, init)
		}
		if err := errors.Join(err, m.networks.Unpublish(ctx, p.Plan)); err != nil {
			return v, err
		}
	}
	if err := m.networkTables().Release(ctx, vps.VPS{Name: v.Name, Interfaces: v.Detached}); err != nil {
		return v, err
	}
	if init.PID != 0 {
		plans, err := m.networkTables().Plans(v)
		if err != nil {
			return v, err
		}
		for _, p := range plans { // the default route can be gone with an interface
			if err := m.networks.Readdress(ctx, p, p, init); err != nil {
				return v, err
			}
		}
		if err := m.publishAll(ctx); err != nil {
			return v, err
		}
	}
	whole := v.Clone()
	whole.Detached = nil
	return whole, l.Put(whole)
}
