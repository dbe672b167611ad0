package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
)

// Names of networks that croft knows by itself.
const (
	DefaultNetwork = network.DefaultName
	NoNetwork      = "none"
)

// claimAddresses writes into the networks' tables that v owns addresses there:
// those wanted, each on its first interface whose network has such, and one of
// each family that none was wanted of. An address with another owner is fail.Taken. Claiming again what
// v has is success.
func (m *Manager) claimAddresses(ctx context.Context, v vps.VPS, want []netip.Addr) error {
	host, err := m.networks.Addresses()
	if err != nil {
		return err
	}
	for n, i := range v.Interfaces {
		last := n == len(v.Interfaces)-1
		var mine []netip.Addr
		var lan string
		err := m.changeTable(ctx, i.Network, func(t *network.Table) error {
			lan = t.LANLink()
			mine, want = partition(want, func(a netip.Addr) bool { return last || t.Has(a) })
			return m.claim(t, v, i, mine, host)
		})
		if err == nil && lan != "" {
			err = m.settle(ctx, v, i, mine, host)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) claim(t *network.Table, v vps.VPS, i vps.Interface, want, host []netip.Addr) error {
	m.sweepClaims(t, v.Name)
	_, err := t.Claim(v.Name, i.Name, want, host)
	return err
}

// settle asks the network's LAN, if it is on one, whether somebody else has what
// was claimed: that is fail.Taken of what was wanted, and else another
// address is claimed in its place. The claim stands while that is asked, so that no
// other VPS gets the address meanwhile.
func (m *Manager) settle(ctx context.Context, v vps.VPS, i vps.Interface, want, host []netip.Addr) error {
	const tries = 20 // somebody has all that is free
	for range tries {
		t, err := m.table(i.Network)
		if err != nil {
			return err
		}
		claim, _ := claimOf(t, v.Name, i.Name)
		found, err := m.networks.Answering(ctx, t.LANLink(), claim.Addresses)
		if err != nil || len(found) == 0 {
			return err
		}
		err = takenOnLAN(t, want, found)
		for a := range found {
			host = append(host, a)
		}
		again := m.changeTable(context.WithoutCancel(ctx), i.Network, func(t *network.Table) error {
			t.Release(v.Name)
			if err != nil {
				return nil
			}
			return m.claim(t, v, i, want, host)
		})
		if err := errors.Join(err, again); err != nil {
			return err
		}
	}
	return fail.New(fail.Taken, "network %s: every address that was tried is in use on its LAN", i.Network)
}

// takenOnLAN is fail.Taken if one of wanted answers on the network's LAN.
func takenOnLAN(t network.Table, wanted []netip.Addr, found map[netip.Addr]string) error {
	for _, a := range wanted {
		if who, ok := found[a.Unmap()]; ok {
			return fail.New(fail.Taken, "address %s belongs to %s, which answers on the LAN of %s", a, who, t.LANLink())
		}
	}
	return nil
}

// partition returns the elements of all for which is holds, and the others.
func partition[T any](all []T, is func(T) bool) (yes, no []T) {
	for _, a := range all {
		if is(a) {
			yes = append(yes, a)
		} else {
			no = append(no, a)
		}
	}
	return yes, no
}

// releaseAddresses gives back what v owns; it is a no-op if that is nothing. A
// network that cannot be changed does not keep the others from it.
func (m *Manager) releaseAddresses(ctx context.Context, v vps.VPS) (failed error) {
	for _, i := range v.Interfaces {
		err := m.store.UpdateNetwork(ctx, i.Network, func(old state.NetworkTable) (state.NetworkChange, error) {
			if old.Settings == nil {
				return state.NetworkChange{}, nil
			}
			t, err := m.decode(i.Network, old, v.Name)
			if err == nil && !t.Appendable() {
				t, err = m.decode(i.Network, old)
			}
			if err != nil {
				return state.NetworkChange{}, err
			}
			t.Release(v.Name)
			c, err := t.Changes()
			return state.NetworkChange(c), err
		})
		failed = errors.Join(failed, err)
	}
	return failed
}

// changeTable changes a network's table under its lock. The default network
// comes into being when it is first asked for.
func (m *Manager) changeTable(ctx context.Context, name string, change func(*network.Table) error) error {
	return m.store.UpdateNetwork(ctx, name, func(old state.NetworkTable) (state.NetworkChange, error) {
		t, err := m.decodeTable(name, old)
		if err != nil {
			return state.NetworkChange{}, err
		}
		if err := change(&t); err != nil {
			return state.NetworkChange{}, err
		}
		c, err := t.Changes()
		return state.NetworkChange(c), err
	})
}

func (m *Manager) decodeTable(name string, files state.NetworkTable) (network.Table, error) {
	if files.Settings != nil {
		return m.decode(name, files)
	}
	if name != DefaultNetwork {
		return network.Table{}, fail.New(fail.NotFound, "no network named %q", name).WithHint("croft network list")
	}
	seed, err := m.networks.Seed(name)
	if err != nil {
		return network.Table{}, err
	}
	for _, other := range m.tables() { // the host may not have a route to it yet
		seed.Avoid = append(seed.Avoid, other.IPv4)
	}
	return network.Default(seed), nil
}

// sweepClaims releases what belongs to VPSs that are no more: a create that
// was killed after it claimed leaves that behind. One that is being created
// just now holds its lock.
func (m *Manager) sweepClaims(t *network.Table, except string) {
	missing, err := m.store.Missing(owners(t))
	if err != nil {
		return
	}
	for _, owner := range missing {
		if owner == except {
			continue
		}
		if other, err := m.store.Renamed(owner); err != nil || other != "" {
			continue // that has another name by now
		}
		l, err := m.store.Lock(context.Background(), owner, m.command, 0)
		if err != nil {
			continue
		}
		// One whose files were removed by hand may run still.
		if pids, err := m.containers.Remains(owner); err == nil && len(pids) == 0 && !exists(m.store.VPSDir(owner)) {
			t.Release(owner)
		}
		l.Unlock()
	}
}

// owners are those of t's claims, each as often as it has one.
func owners(t *network.Table) []string {
	all := make([]string, len(t.Claims))
	for i, c := range t.Claims {
		all[i] = c.Owner
	}
	return all
}

// claimOf is what interface iface of a VPS owns in a network.
func claimOf(t network.Table, owner, iface string) (network.Claim, bool) {
	for _, c := range t.Of(owner) {
		if c.Interface == iface {
			return c, true
		}
	}
	return network.Claim{}, false
}

// A plug is one interface of a VPS with the plans of both its ends.
type plug struct {
	table network.Table
	claim network.Claim
	plan  network.Plan
}

// plugs returns what v's interfaces need, in their order. A network that is
// gone or has no addresses for v is fail.State.
func (m *Manager) plugs(v vps.VPS) ([]plug, error) {
	var all []plug
	for _, i := range v.Interfaces {
		p, err := m.plug(v, i)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(p plug) bool { return len(p.plan.Gateways) > 0 }) {
			p.plan = p.plan.Beside(p.table) // the way out is another's
		}
		p.plan.Rate = i.Rate
		all = append(all, p)
	}
	return all, nil
}

// plugsLeft returns the plugs of v that can be known, for taking them out. What
// has no claim any more has been taken out, or cannot be found by its name; a
// table that cannot be read is a warning.
func (m *Manager) plugsLeft(v vps.VPS) []plug {
	var all []plug
	for _, i := range v.Interfaces {
		p, err := m.plug(v, i)
		switch {
		case err == nil:
			all = append(all, p)
		case !errors.Is(err, errNoClaim):
			m.warn(err.Error())
		}
	}
	return all
}

// errNoClaim is in the chain of an error of plug if v has no addresses in the
// network, or there is no such network.
var errNoClaim = errors.New("no claim")

// claimMissing gives v addresses where a network has none for it: the network's
// table was lost, and is another one by now.
func (m *Manager) claimMissing(ctx context.Context, v vps.VPS) error {
	for _, i := range v.Interfaces {
		_, err := m.plug(v, i)
		if !errors.Is(err, errNoClaim) {
			continue // what else is wrong, the start says
		}
		if err := m.claimAddresses(ctx, v, nil); err != nil {
			return err
		}
		m.warn(fmt.Sprintf("%s had no addresses in network %s, and has new ones", v.Name, i.Network))
	}
	return nil
}

// plug returns what interface i of v needs.
func (m *Manager) plug(v vps.VPS, i vps.Interface) (plug, error) {
	files, err := m.store.Network(i.Network)
	if err != nil {
		return plug{}, err
	}
	if files.Settings == nil {
		return plug{}, &fail.Error{Kind: fail.State, Msg: fmt.Sprintf("network %s is gone", i.Network), Err: errNoClaim}
	}
	t, err := m.decode(i.Network, files, v.Name)
	if err != nil {
		return plug{}, err
	}
	claim, ok := claimOf(t, v.Name, i.Name)
	if !ok {
		return plug{}, &fail.Error{Kind: fail.State, Msg: fmt.Sprintf("network %s has no addresses for %s", i.Network, v.Name), Err: errNoClaim}
	}
	plan, err := network.NewPlan(t, claim)
	return plug{table: t, claim: claim, plan: plan}, err
}
