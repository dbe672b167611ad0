package runtime

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

// claim records the new addresses and the limits of connections in the tables of
// the networks. Removed addresses stay in the tables until giveUp. Afterwards
// c.now has its interfaces.
func (c *change) claim(ctx context.Context) error {
	if len(c.parts) == 0 {
		return nil
	}
	if err := c.claimInterfaces(ctx); err != nil {
		return err
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
	if c.parts[vps.PartAddresses] = len(moves) > 0; len(moves) > 0 || c.parts[vps.PartInterfaces] {
		c.parts[vps.PartRouting] = c.parts[vps.PartRouting] || c.now.Routing.Any()
		c.parts[vps.PartPublished] = c.parts[vps.PartPublished] || len(c.now.Published) > 0
	}
	c.now.plugs, c.now.err = c.networkTables().Plugs(c.now.VPS)
	for n := range c.now.plugs {
		p := &c.now.plugs[n].Plan
		for _, a := range moves {
			if a.at.Name == p.Interface && a.at.Network == p.Network {
				*p = p.Without(a.removed)
			}
		}
	}
	return nil
}

// A move is how the addresses of one interface change.
type move struct {
	at             vps.Interface
	added, removed []netip.Addr
}

// moves are those of the interfaces that stay, and whose addresses change.
func (c *change) moves() []move {
	var all []move
	for _, at := range c.was.Interfaces {
		n := slices.IndexFunc(c.now.Interfaces, func(i vps.Interface) bool { return sameLink(at, i) })
		if n < 0 {
			continue
		}
		was, now := at.Addresses, c.now.Interfaces[n].Addresses
		a := move{at: at, added: missing(now, was), removed: missing(was, now)}
		if len(a.added)+len(a.removed) > 0 {
			all = append(all, a)
		}
	}
	return all
}

// missing returns the elements of all that are not in from.
func missing[T comparable](all, from []T) []T {
	_, no := tables.Partition(all, func(a T) bool { return slices.Contains(from, a) })
	return no
}

// claimAdded records the added addresses in the table of the network. It checks that
// the removed ones can be removed, and that no machine on the LAN has the added ones.
func (c *change) claimAdded(ctx context.Context, a move) error {
	name := c.now.Name
	host, err := c.networks.Addresses()
	if err != nil {
		return err
	}
	c.undo.Arm(func() error {
		return c.networkTables().Change(context.WithoutCancel(ctx), a.at.Network, func(t *network.Table) error {
			claim, _ := tables.ClaimOf(*t, name, a.at.Name)
			own, _ := tables.Partition(a.added, func(x netip.Addr) bool { return slices.Contains(claim.Addresses, x) })
			return t.Drop(name, a.at.Name, own)
		})
	})
	err = c.networkTables().Change(ctx, a.at.Network, func(t *network.Table) error {
		c.networkTables().SweepClaims(t, name)
		if err := t.Add(name, a.at.Name, a.added, host); err != nil {
			return err
		}
		copied := *t
		copied.Claims = append([]network.Claim{}, t.Claims...)
		return copied.Drop(name, a.at.Name, a.removed)
	})
	if err != nil {
		return err
	}
	return c.askLAN(ctx, a.at.Network, a.added)
}

// askLAN is fail.Taken if a machine on the network's LAN has one of addrs.
func (m *Manager) askLAN(ctx context.Context, name string, addrs []netip.Addr) error {
	t, err := m.networkTables().Get(name)
	if err != nil {
		return err
	}
	found, err := m.networks.Answering(ctx, t.LANLink(), addrs)
	if err != nil {
		return err
	}
	return tables.TakenOnLAN(t, addrs, found)
}

// releaseRemoved removes the removed addresses from the tables of the networks: from then
// on others can have them.
func (c *change) releaseRemoved(ctx context.Context) error {
	name := c.now.Name
	for _, a := range c.moves() {
		if len(a.removed) == 0 {
			continue
		}
		c.undo.Arm(func() error {
			return c.networkTables().Change(context.WithoutCancel(ctx), a.at.Network, func(t *network.Table) error {
				return t.Add(name, a.at.Name, a.removed, nil)
			})
		})
		err := c.networkTables().Change(ctx, a.at.Network, func(t *network.Table) error { return t.Drop(name, a.at.Name, a.removed) })
		if err != nil {
			return err
		}
	}
	return c.releaseInterfaces(ctx)
}

// withdraw removes from the host what a repair at the same time may have created from
// the former tables.
func (c *change) withdraw() {
	for _, a := range c.moves() {
		if err := c.networks.Withdraw(c.was.plan(a.at), c.now.plan(a.at)); err != nil {
			c.warn(err.Error())
		}
	}
}

// claimLimits records the limits of connections of c.now in the tables of its
// networks.
func (c *change) claimLimits(ctx context.Context) error {
	c.undo.Arm(func() error { return c.setLimits(context.WithoutCancel(ctx), c.was.VPS) })
	return c.setLimits(ctx, c.now.VPS)
}

// setLimits writes the limits of v into the tables of its networks.
func (m *Manager) setLimits(ctx context.Context, v vps.VPS) (failed error) {
	for _, i := range v.Interfaces {
		if !i.Tracked {
			continue
		}
		failed = errors.Join(failed, m.networkTables().Change(ctx, i.Network, func(t *network.Table) error {
			return t.SetConnections(v.Name, i.Name, i.Connections)
		}))
	}
	return failed
}
