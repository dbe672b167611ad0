package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/hostfacts"
	"croft/runtime/tables"
)

// A move is how the addresses of one interface change.
type move struct {
	at             vps.Interface
	added, removed []netip.Addr
}

// moves are those of the interfaces whose addresses change.
func (c *change) moves() []move {
	var all []move
	for n, at := range c.was.Interfaces {
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

// claimAdded records the added addresses in the table of the network, once it is
// known that the removed ones can be removed, and that nobody on the LAN has them.
func (c *change) claimAdded(ctx context.Context, a move) error {
	name := c.now.Name
	host, err := c.networks.Addresses()
	if err != nil {
		return err
	}
	c.undo.arm(func() error {
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

// applyAddresses makes a running VPS have the addresses of to.
func (c *change) applyAddresses(ctx context.Context, from, to side) error {
	for _, a := range c.moves() {
		if err := c.networks.Readdress(ctx, from.plan(a.at.Name), to.plan(a.at.Name), c.init); err != nil {
			return err
		}
	}
	return nil
}

// giveUp removes the removed addresses from the tables of the networks: from then
// on others can have them.
func (c *change) giveUp(ctx context.Context) error {
	name := c.now.Name
	for _, a := range c.moves() {
		if len(a.removed) == 0 {
			continue
		}
		c.undo.arm(func() error {
			return c.networkTables().Change(context.WithoutCancel(ctx), a.at.Network, func(t *network.Table) error {
				return t.Add(name, a.at.Name, a.removed, nil)
			})
		})
		err := c.networkTables().Change(ctx, a.at.Network, func(t *network.Table) error { return t.Drop(name, a.at.Name, a.removed) })
		if err != nil {
			return err
		}
	}
	return nil
}

// withdraw removes from the host what a repair at the same time may have made from
// the tables as they were.
func (c *change) withdraw() {
	for _, a := range c.moves() {
		if err := c.networks.Withdraw(c.was.plan(a.at.Name), c.now.plan(a.at.Name)); err != nil {
			c.warn(err.Error())
		}
	}
}

// followSettings writes the guest's own files again. They count when the guest
// restarts its network service; the next start would write them too. No other
// command writes its /etc/hosts at the same time.
func (m *Manager) followSettings(ctx context.Context, v vps.VPS) {
	run, err := m.store.Run(v.Name)
	var host hostfacts.Facts
	if err == nil {
		host, err = m.host()
	}
	if err == nil {
		err = m.store.Naming(ctx, func() error {
			init := initkind.Of(proc.Executable(run.Init.PID))
			return inside.InRoot(ctx, inside.Identity(run.Init), func(root *inside.Root) error { return m.configureGuest(v, root, host, init) })
		})
	}
	if err != nil && !errors.Is(err, inside.ErrGone) { // else its next start does
		m.warn(fmt.Sprintf("%s: its own files have the old addresses until its next start: %v", v.Name, err))
	}
}
