package tables

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
)

// Claim records the addresses of v in the tables of its networks: those of its
// interfaces, each wanted address on the first interface whose network contains it,
// and an address for each family without one. An address of another owner is fail.Taken. No-op for
// addresses that v has already.
func (ts Tables) Claim(ctx context.Context, v vps.VPS, want []netip.Addr) error {
	host, err := ts.Host.Addresses()
	if err != nil {
		return err
	}
	for n, i := range v.Interfaces {
		last := n == len(v.Interfaces)-1
		var mine []netip.Addr
		err := ts.claimInterface(ctx, v, i, host, func(t *network.Table) []netip.Addr {
			mine, want = Partition(want, func(a netip.Addr) bool { return last || t.Has(a) })
			return mine
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ClaimInterface is Claim for one interface of v.
func (ts Tables) ClaimInterface(ctx context.Context, v vps.VPS, i vps.Interface) error {
	host, err := ts.Host.Addresses()
	if err != nil {
		return err
	}
	return ts.claimInterface(ctx, v, i, host, func(*network.Table) []netip.Addr { return nil })
}

// claimInterface claims what i has, and more of its network.
func (ts Tables) claimInterface(ctx context.Context, v vps.VPS, i vps.Interface, host []netip.Addr, more func(*network.Table) []netip.Addr) error {
	var want []netip.Addr
	var lan string
	err := ts.Change(ctx, i.Network, func(t *network.Table) error {
		lan = t.LANLink()
		want = append(more(t), i.Addresses...)
		return ts.claim(t, v, i, want, host)
	})
	if err == nil && lan != "" {
		err = ts.claimFreeOnLAN(ctx, v, i, want, host)
	}
	return err
}

func (ts Tables) claim(t *network.Table, v vps.VPS, i vps.Interface, want, host []netip.Addr) error {
	ts.SweepClaims(t, v.Name)
	if _, err := t.Claim(v.Name, i.Name, want, host); err != nil || i.MAC == "" {
		return err
	}
	return t.SetMAC(v.Name, i.Name, i.MAC)
}

// claimFreeOnLAN asks the LAN of a network whether another machine uses an
// address that was just claimed. A wanted one is fail.Taken then; otherwise it
// claims another address. The claim stays during the question, so no other VPS
// gets the address.
func (ts Tables) claimFreeOnLAN(ctx context.Context, v vps.VPS, i vps.Interface, want, host []netip.Addr) error {
	const tries = 20 // addresses of a LAN that is full
	for range tries {
		t, err := ts.Get(i.Network)
		if err != nil {
			return err
		}
		claim, _ := ClaimOf(t, v.Name, i.Name)
		found, err := ts.Host.Answering(ctx, t.LANLink(), claim.Addresses)
		if err != nil || len(found) == 0 {
			return err
		}
		err = TakenOnLAN(t, want, found)
		for a := range found {
			host = append(host, a)
		}
		again := ts.Change(context.WithoutCancel(ctx), i.Network, func(t *network.Table) error {
			t.Release(v.Name)
			if err != nil {
				return nil
			}
			return ts.claim(t, v, i, want, host)
		})
		if err := errors.Join(err, again); err != nil {
			return err
		}
	}
	return fail.New(fail.Taken, "network %s: every address that was tried is in use on its LAN", i.Network)
}

// TakenOnLAN is fail.Taken if one of wanted answers on the network's LAN.
func TakenOnLAN(t network.Table, wanted []netip.Addr, found map[netip.Addr]string) error {
	for _, a := range wanted {
		if who, ok := found[a.Unmap()]; ok {
			return fail.New(fail.Taken, "address %s belongs to %s, which answers on the LAN of %s", a, who, t.LANLink())
		}
	}
	return nil
}

// Partition returns the elements of all for which is reports true, and the
// others.
func Partition[T any](all []T, is func(T) bool) (yes, no []T) {
	for _, a := range all {
		if is(a) {
			yes = append(yes, a)
		} else {
			no = append(no, a)
		}
	}
	return yes, no
}

// Release removes all claims of v; no-op if there are none. If one table cannot
// be changed it still changes the others.
func (ts Tables) Release(ctx context.Context, v vps.VPS) (failed error) {
	for _, i := range slices.Concat(v.Interfaces, v.Detached) {
		err := ts.Store.UpdateNetwork(ctx, i.Network, func(old state.NetworkTable) (state.NetworkChange, error) {
			if old.Settings == nil {
				return state.NetworkChange{}, nil
			}
			t, err := ts.decode(i.Network, old, v.Name)
			if err == nil && !t.Appendable() {
				t, err = ts.decode(i.Network, old)
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

// RenameOwner gives the claims of old in a network to new. Claims that are
// already under the new name are left from a killed create, and are released.
// No-op if the network does not exist.
func (ts Tables) RenameOwner(ctx context.Context, name string, old, new vps.Name) error {
	return ts.Store.UpdateNetwork(ctx, name, func(files state.NetworkTable) (state.NetworkChange, error) {
		if files.Settings == nil {
			return state.NetworkChange{}, nil
		}
		t, err := ts.decode(name, files)
		if err != nil {
			return state.NetworkChange{}, err
		}
		if len(t.Of(old)) > 0 {
			t.Release(new)
			t.Rename(old, new)
		}
		c, err := t.Changes()
		return state.NetworkChange(c), err
	})
}

// SweepClaims releases the claims of VPSs that do not exist, except those of the
// VPS except. A create that was killed leaves such claims. A create that still
// runs holds the lock of its VPS.
func (ts Tables) SweepClaims(t *network.Table, except vps.Name) {
	missing, err := ts.Store.Missing(owners(t))
	if err != nil {
		return
	}
	for _, owner := range missing {
		if owner == except {
			continue
		}
		if other, err := ts.Store.Renamed(owner); err != nil || other != "" {
			continue // they belong to that VPS, which has another name now
		}
		l, err := ts.Store.Lock(context.Background(), owner, ts.Command, 0)
		if err != nil {
			continue
		}
		// A VPS whose files were removed by hand may still run.
		_, there := os.Stat(ts.Store.VPSDir(owner))
		if pids, err := ts.Remains(string(owner)); err == nil && len(pids) == 0 && there != nil {
			t.Release(owner)
		}
		l.Unlock()
	}
}

// owners returns the owner of each claim of t.
func owners(t *network.Table) []vps.Name {
	all := make([]vps.Name, len(t.Claims))
	for i, c := range t.Claims {
		all[i] = c.Owner
	}
	return all
}
