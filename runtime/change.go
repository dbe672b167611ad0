package runtime

import (
	"context"
	"errors"
	"slices"

	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

// Change changes settings of the VPS name: all edits or none. The changes are
// saved and, if the VPS runs, they take effect at once. Change holds the VPS's
// lock from the first check to the end. After an error nothing has changed, and
// what was applied is undone. A second call with the same values changes
// nothing.
//
// An address or a port of another owner is fail.Taken, naming the owner. An
// invalid value is fail.Usage. Other errors are those of the edits.
func (m *Manager) Change(ctx context.Context, name string, edits ...vps.Edit) error {
	l, v, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	parts, was := vps.Parts(edits...), m.side(v)
	if was.err != nil && (parts[vps.PartAddresses] || parts[vps.PartConnections]) {
		return was.err // the edits would not see what the VPS has
	}
	now, err := vps.Edited(was.VPS, edits...)
	if err != nil {
		return err
	}
	c := &change{Manager: m, lock: l, parts: parts, was: was, now: side{VPS: now}}
	return c.make(ctx)
}

// A change is what one call of Change does.
type change struct {
	*Manager
	lock  *state.Locked
	parts map[vps.Part]bool // what of a running VPS has to follow
	was   side
	now   side
	init  inside.Identity // of the running VPS; the zero Identity if it does not run
	undo  undo
}

// A side is a VPS before or after a change, with the interfaces that it has
// then. err says why these are not known; most changes do not need them.
type side struct {
	vps.VPS
	plugs []tables.Plug
	err   error
}

// side looks up the interfaces of v. The interfaces of the result have what the
// tables of their networks say.
func (m *Manager) side(v vps.VPS) side {
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return side{v, nil, err}
	}
	v = v.Clone()
	for n, p := range plugs { // one for each interface
		i := &v.Interfaces[n]
		i.Addresses, i.Connections = p.Claim.Addresses, p.Claim.Connections
		i.Prefixes, i.Tracked = p.Table.Prefixes(), p.Plan.HostLink != ""
	}
	return side{v, plugs, nil}
}

// plan is the plan of one interface.
func (s side) plan(name string) network.Plan {
	for _, p := range s.plugs {
		if p.Plan.Interface == name {
			return p.Plan
		}
	}
	return network.Plan{}
}

// plans are the plans of the interfaces.
func (s side) plans() ([]network.Plan, error) {
	var all []network.Plan
	for _, p := range s.plugs {
		all = append(all, p.Plan)
	}
	return all, s.err
}

// make makes the change in an order in which each step can be undone: what
// others could take is claimed first, what others could get is given up last,
// and everything is saved before it takes effect, so that nothing exists that a
// stop would not remove.
func (c *change) make(ctx context.Context) (err error) {
	defer func() { c.undo.onError(&err) }()
	if err := c.claim(ctx); err != nil {
		return err
	}
	if err := c.checkRoutes(); err != nil {
		return err
	}
	c.undo.arm(func() error { return c.lock.Put(c.was.VPS) })
	if err := c.save(ctx); err != nil {
		return err
	}
	if c.init, err = c.liveInit(c.now.Name); err != nil {
		return err
	}
	c.undo.arm(func() error { return c.applyBack(ctx) })
	if err := c.apply(ctx); err != nil {
		return err
	}
	if err := c.giveUp(ctx); err != nil {
		return err
	}
	c.follow(ctx)
	return nil
}

// claim records the new addresses and the limits of connections in the tables of
// the networks. Removed addresses stay in the tables until giveUp. Afterwards
// c.now has its interfaces.
func (c *change) claim(ctx context.Context) error {
	if len(c.parts) == 0 {
		return nil
	}
	moves := c.moves()
	for _, a := range moves {
		if err := c.claimAdded(ctx, a); err != nil {
			return err
		}
	}
	if c.parts[vps.PartConnections] {
		if err := c.claimLimits(ctx); err != nil {
			return err
		}
	}
	// Routes and published ports lead through the addresses.
	if c.parts[vps.PartAddresses] = len(moves) > 0; len(moves) > 0 {
		c.parts[vps.PartRouting] = c.parts[vps.PartRouting] || c.now.Routing.Any()
		c.parts[vps.PartPublished] = c.parts[vps.PartPublished] || len(c.now.Published) > 0
	}
	c.now.plugs, c.now.err = c.networkTables().Plugs(c.now.VPS)
	for n := range c.now.plugs {
		p := &c.now.plugs[n].Plan
		for _, a := range moves {
			if a.at.Name == p.Interface {
				*p = p.Without(a.removed)
			}
		}
	}
	return nil
}

// save writes vps.json. Where ports are added, no other VPS can publish them
// meanwhile.
func (c *change) save(ctx context.Context) error {
	var more []vps.Publication
	for _, p := range c.now.Published {
		if !slices.Contains(c.was.Published, p) {
			more = append(more, p)
		}
	}
	put := func() error { return c.lock.Put(c.now.VPS) }
	if len(more) == 0 {
		return put()
	}
	if _, err := c.now.publishing(); err != nil {
		return err
	}
	return c.claimPorts(ctx, c.now.Name, more, put)
}

// An applier makes a running VPS and the host match one part of the settings of
// a side, when they match another side or are in between. A second call changes
// nothing.
type applier struct {
	part    vps.Part
	stopped bool // it is for a stopped VPS too
	apply   func(c *change, ctx context.Context, from, to side) error
}

// appliers are all, in the order in which they are called: a VPS gets its
// firewall before addresses, and addresses before what leads through them.
func appliers() []applier {
	return []applier{
		{vps.PartFirewall, false, (*change).applyFirewall},
		{vps.PartAddresses, false, (*change).applyAddresses},
		{vps.PartConnections, true, (*change).applyConnections},
		{vps.PartRates, false, (*change).applyRates},
		{vps.PartRouting, false, (*change).applyRoutes},
		{vps.PartPublished, true, (*change).applyPublished},
	}
}

// apply makes a running VPS match what was saved.
func (c *change) apply(ctx context.Context) error {
	if err := c.applyAll(ctx, c.was, c.now, false); err != nil {
		return err
	}
	// A VPS that rebooted meanwhile may have read the former settings.
	init, err := c.liveInit(c.now.Name)
	if err != nil || init.PID == 0 || init == c.init {
		return err
	}
	c.init = init
	return c.applyAll(ctx, c.was, c.now, false)
}

// applyBack is apply in the other direction. It continues after an error.
func (c *change) applyBack(ctx context.Context) error {
	if init, err := c.liveInit(c.was.Name); err == nil {
		c.init = init
	}
	return c.applyAll(context.WithoutCancel(ctx), c.now, c.was, true)
}

// applyAll calls the appliers of the change's parts and returns their errors. It
// stops at the first error unless onward is set. A VPS that ends meanwhile is
// one that does not run.
func (c *change) applyAll(ctx context.Context, from, to side, onward bool) (failed error) {
	for _, a := range appliers() {
		if !c.parts[a.part] || c.init.PID == 0 && !a.stopped {
			continue
		}
		err := a.apply(c, ctx, from, to)
		if errors.Is(err, inside.ErrGone) {
			c.init, err = inside.Identity{}, nil
		}
		if failed = errors.Join(failed, err); failed != nil && !onward {
			return failed
		}
	}
	return failed
}

// follow does what a change has as a consequence, and what can be repaired later.
// An error is a warning.
func (c *change) follow(ctx context.Context) {
	if c.init.PID != 0 {
		c.withdraw()
		if c.parts[vps.PartAddresses] || c.parts[vps.PartRouting] {
			c.followSettings(ctx, c.now.VPS)
		}
	}
	if c.parts[vps.PartAddresses] {
		c.names().Update(context.WithoutCancel(ctx), tables.NetworksOf(c.now.VPS))
	}
}

// liveInit is the init of a VPS that runs; the zero Identity if it does not run.
func (m *Manager) liveInit(name string) (inside.Identity, error) {
	run, err := m.store.Run(name)
	if err != nil || run.State != state.Running || !alive(run.Init) {
		return inside.Identity{}, err
	}
	return inside.Identity(run.Init), nil
}
