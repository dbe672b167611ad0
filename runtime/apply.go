package runtime

import (
	"context"
	"errors"
	"slices"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// An applier makes a running VPS and the host match one part of the settings of
// a side, when they match another side or are in between. A second call changes
// nothing.
type applier struct {
	part    vps.Part
	stopped bool // it is for a stopped VPS too
	apply   func(c *change, ctx context.Context, from, to side) error
}

// appliers are all, in the order in which they are called: a VPS gets its
// firewall before interfaces and addresses, and those before what leads through them.
func appliers() []applier {
	return []applier{
		{vps.PartFirewall, false, (*change).applyFirewall},
		{vps.PartInterfaces, false, (*change).applyInterfaces},
		{vps.PartAddresses, false, (*change).applyAddresses},
		{vps.PartConnections, true, (*change).applyConnections},
		{vps.PartRates, false, (*change).applyRates},
		{vps.PartRouting, false, (*change).applyRoutes},
		{vps.PartPublished, true, (*change).applyPublished},
		{vps.PartLimits, false, (*change).applyLimits},
		{vps.PartDevices, false, (*change).applyDevices},
		{vps.PartMounts, false, (*change).applyMounts},
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

func (c *change) applyFirewall(ctx context.Context, _, to side) error {
	return c.networks.SetFirewall(ctx, to.Firewall, c.init)
}

// applyAddresses makes a running VPS have the addresses of to.
func (c *change) applyAddresses(ctx context.Context, from, to side) error {
	for _, a := range c.moves() {
		if err := c.networks.Readdress(ctx, from.plan(a.at), to.plan(a.at), c.init); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) applyConnections(ctx context.Context, _, to side) error {
	plans, err := to.plans()
	if err != nil {
		return err
	}
	return c.networks.SetConnections(ctx, plans)
}

func (c *change) applyRates(ctx context.Context, _, to side) error {
	plans, err := to.plans()
	if err != nil {
		return err
	}
	return c.networks.SetRates(ctx, plans)
}

// applyRoutes makes the routes in a running VPS those of to.
func (c *change) applyRoutes(_ context.Context, _, to side) error {
	plans, err := to.plans()
	if err != nil {
		return err
	}
	return c.networks.SetRouting(to.Routing, plans, c.init)
}

// checkRoutes rejects a new route that cannot work, since the VPS would not have it
// at its next start, and a change of addresses that a route does not survive.
func (c *change) checkRoutes() error {
	for _, r := range c.now.Routing.Routes {
		added := !slices.Contains(c.was.Routing.Routes, r)
		if !added && !c.parts[vps.PartAddresses] && !c.parts[vps.PartInterfaces] {
			continue
		}
		plans, err := c.now.plans()
		if err != nil {
			return err
		}
		why := badRoute(c.now.VPS, r, plans)
		switch {
		case why == nil:
		case added:
			return why
		default:
			if before, err := c.was.plans(); err == nil && badRoute(c.was.VPS, r, before) == nil {
				return fail.New(fail.State, "%s needs what is removed: %w", c.now.Name, why).WithHint("croft route %s list", c.now.Name)
			}
		}
	}
	return nil
}

// badRoute returns why a route of v cannot work with interfaces as planned; nil if
// it can.
func badRoute(v vps.VPS, r vps.Route, plans []network.Plan) error {
	var rest vps.Routing
	for _, o := range v.Routing.Routes {
		if o == r || o.Via == "" {
			rest.Routes = append(rest.Routes, o)
		}
	}
	return network.CheckRoutes(rest, plans)
}

// applyPublished makes the published ports of to lead to its interface, with the
// addresses that it has then.
func (c *change) applyPublished(ctx context.Context, from, to side) error {
	if len(from.Published)+len(to.Published) == 0 {
		return nil
	}
	has, err := c.hostHas()
	if err != nil {
		return err
	}
	var all []network.Published
	if len(to.Published) > 0 {
		plan, err := to.publishing()
		if err != nil {
			return err
		}
		all = append(all, network.Published{Plan: plan, Ports: applicable(to.VPS, has)})
	}
	if plan, err := from.publishing(); err == nil && (all == nil || all[0].Plan.Network != plan.Network) {
		all = append(all, network.Published{Plan: plan}) // the ports lead there no more
	}
	return c.networks.Publish(ctx, all)
}
