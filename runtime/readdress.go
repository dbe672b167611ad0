package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/hostfacts"
)

// changeAllAddresses gives v, whose lock is held, the addresses add, and takes
// del from it, saved and, if it runs, at once; its own files follow. It reports
// whether anything has changed. On an error nothing has; u takes back what was
// done should something later fail.
func (m *Manager) changeAllAddresses(ctx context.Context, u *undo, v vps.VPS, add, del []netip.Addr) (bool, error) {
	if len(add)+len(del) == 0 {
		return false, nil
	}
	if len(v.Interfaces) == 0 {
		return false, fail.New(fail.State, "%s has no network", v.Name)
	}
	changes := m.byInterface(v, add, del)
	for _, c := range changes {
		if err := m.changeAddresses(ctx, v, c.at, c.add, c.del); err != nil {
			return false, err
		}
		u.arm(func() error { return m.changeAddresses(context.WithoutCancel(ctx), v, c.at, c.del, c.add) })
	}
	return len(changes) > 0, nil
}

// A readdressing is what changes of one interface's addresses.
type readdressing struct {
	at       vps.Interface
	add, del []netip.Addr
}

// byInterface says which interface is meant. An address that it has already is
// not among those to add. What fits none is left to the first to refuse.
func (m *Manager) byInterface(v vps.VPS, add, del []netip.Addr) []readdressing {
	tables := m.tables()
	var all []readdressing
	for _, i := range v.Interfaces {
		c := readdressing{at: i}
		c.add, add = partition(add, tables[i.Network].Has)
		claim, _ := claimOf(tables[i.Network], v.Name, i.Name)
		c.add = slices.DeleteFunc(c.add, func(a netip.Addr) bool { return slices.Contains(claim.Addresses, a.Unmap()) })
		c.del, del = partition(del, func(a netip.Addr) bool { return slices.Contains(claim.Addresses, a.Unmap()) })
		all = append(all, c)
	}
	all[0].add, all[0].del = append(all[0].add, add...), append(all[0].del, del...)
	return slices.DeleteFunc(all, func(c readdressing) bool { return len(c.add) == 0 && len(c.del) == 0 })
}

func (m *Manager) changeAddresses(ctx context.Context, v vps.VPS, i vps.Interface, add, del []netip.Addr) error {
	name := v.Name
	was, err := m.planOf(v, i)
	if err != nil {
		return err
	}
	// What is added is ours in the table before anything follows from it, and
	// what is removed stays ours until nothing does.
	own, err := m.addAddresses(ctx, v, i, add, del)
	if err != nil {
		return err
	}
	back := func(err error) error {
		return errors.Join(err, m.changeTable(context.WithoutCancel(ctx), i.Network, func(t *network.Table) error {
			return t.Drop(name, i.Name, own)
		}))
	}
	if err := m.askLAN(ctx, i.Network, own); err != nil {
		return back(err)
	}
	init, err := m.liveInit(name)
	if err != nil {
		return back(err)
	}
	now, err := m.planOf(v, i)
	if err != nil {
		return back(err)
	}
	now = now.Without(del)
	if err := m.keepsRoutesWith(v, was, now); err != nil {
		return back(err)
	}
	if init.PID != 0 {
		if err := m.readdress(ctx, v, was, now, init); err != nil {
			return back(errors.Join(err, m.readdress(context.WithoutCancel(ctx), v, now, was, init)))
		}
	}
	err = m.changeTable(ctx, i.Network, func(t *network.Table) error { return t.Drop(name, i.Name, del) })
	if err != nil {
		if init.PID != 0 {
			err = errors.Join(err, m.readdress(context.WithoutCancel(ctx), v, now, was, init))
		}
		return back(err)
	}
	if init.PID == 0 {
		return nil
	}
	// A repair at the same time may have gone by the table as it was.
	if err := m.networks.Withdraw(was, now); err != nil {
		m.warn(err.Error())
	}
	m.followSettings(ctx, v)
	return nil
}

// askLAN is fail.Taken if somebody on the network's LAN has one of addrs.
func (m *Manager) askLAN(ctx context.Context, name string, addrs []netip.Addr) error {
	t, err := m.table(name)
	if err != nil {
		return err
	}
	found, err := m.networks.Answering(ctx, t.LANLink(), addrs)
	if err != nil {
		return err
	}
	return takenOnLAN(t, addrs, found)
}

// addAddresses enters what is added, once it is known that what is removed can
// be, and returns what is new.
func (m *Manager) addAddresses(ctx context.Context, v vps.VPS, i vps.Interface, add, del []netip.Addr) ([]netip.Addr, error) {
	host, err := m.networks.Addresses()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	err = m.changeTable(ctx, i.Network, func(t *network.Table) error {
		m.sweepClaims(t, v.Name)
		before, _ := claimOf(*t, v.Name, i.Name)
		if err := t.Add(v.Name, i.Name, add, host); err != nil {
			return err
		}
		after, _ := claimOf(*t, v.Name, i.Name)
		for _, a := range after.Addresses {
			if !slices.Contains(before.Addresses, a) {
				own = append(own, a)
			}
		}
		copied := *t
		copied.Claims = append([]network.Claim{}, t.Claims...)
		return copied.Drop(v.Name, i.Name, del)
	})
	return own, err
}

// readdress makes the running VPS have now's addresses, and its routes and
// published ports with them.
func (m *Manager) readdress(ctx context.Context, v vps.VPS, was, now network.Plan, init inside.Identity) error {
	if err := m.networks.Readdress(ctx, was, now, init); err != nil {
		return err
	}
	if r := v.Routing; r.Any() {
		plans, err := m.plans(v)
		if err != nil {
			return err
		}
		for i := range plans {
			if plans[i].Interface == now.Interface {
				plans[i] = now
			}
		}
		if err := m.networks.SetRouting(r, plans, init); err != nil {
			return err
		}
	}
	if len(v.Published) == 0 {
		return nil
	}
	if to, err := m.leadsTo(v); err != nil || to.Interface != now.Interface {
		return err
	}
	has, err := m.hostHas()
	if err != nil {
		return err
	}
	return m.networks.Publish(ctx, []network.Published{{Plan: now, Ports: applicable(v, has)}})
}

// keepsRoutesWith is keepsRoutes for a change of one interface.
func (m *Manager) keepsRoutesWith(v vps.VPS, was, now network.Plan) error {
	if len(v.Routing.Routes) == 0 {
		return nil
	}
	before, err := m.plans(v)
	if err != nil {
		return err
	}
	after := slices.Clone(before)
	for i := range before {
		if before[i].Interface == now.Interface {
			before[i], after[i] = was, now
		}
	}
	return keepsRoutes(v, before, after)
}

// planOf is the plan of one interface.
func (m *Manager) planOf(v vps.VPS, i vps.Interface) (network.Plan, error) {
	plans, err := m.plans(v)
	if err != nil {
		return network.Plan{}, err
	}
	for _, p := range plans {
		if p.Interface == i.Name {
			return p, nil
		}
	}
	return network.Plan{}, fail.New(fail.State, "%s has no interface %s", v.Name, i.Name)
}

// followSettings writes the guest's own files anew. What they say counts when
// its network service is restarted; the next start would write them too.
// Nobody else may write its /etc/hosts at the same time.
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
