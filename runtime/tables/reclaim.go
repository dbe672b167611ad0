package tables

import (
	"context"
	"errors"
	"net/netip"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
)

// Held returns what the interfaces of v own. An interface of a network that
// cannot be read is a warning and left out.
func (ts Tables) Held(v vps.VPS) []state.HeldInterface {
	all := []state.HeldInterface{}
	tables := ts.Of(v)
	for _, i := range v.Interfaces {
		for _, c := range tables[i.Network].Claims {
			if c.Interface == i.Name {
				all = append(all, state.HeldInterface{Name: i.Name, Network: i.Network, MAC: c.MAC, Addresses: c.Addresses, Connections: c.Connections})
			}
		}
	}
	return all
}

// Reclaim gives the interfaces of v back what they held. An interface of which
// nothing is known gets what Claim gives. Addresses that v cannot have now are
// an error, as in network.Table.Reclaim, or with replace they are returned as
// lost. After an error v may have some claims.
func (ts Tables) Reclaim(ctx context.Context, v vps.VPS, held []state.HeldInterface, replace bool) (lost []netip.Addr, err error) {
	host, err := ts.Host.Addresses()
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		gone, err := ts.reclaim(ctx, v.Name, h, host, replace)
		if err != nil {
			return nil, err
		}
		lost = append(lost, gone...)
	}
	if replace { // another interface can have the MAC that was asked for
		v = v.Clone()
		for n := range v.Interfaces {
			v.Interfaces[n].MAC = ""
		}
	}
	return lost, ts.Claim(ctx, v, nil)
}

// FormerClaim is the claim of owner that h was.
func FormerClaim(owner vps.Name, h state.HeldInterface) network.Claim {
	return network.Claim{Owner: owner, Interface: h.Name, MAC: h.MAC, Addresses: h.Addresses, Connections: h.Connections}
}

// reclaim is Reclaim for one interface. Like claimFreeOnLAN it asks the LAN
// while it has the claim.
func (ts Tables) reclaim(ctx context.Context, owner vps.Name, h state.HeldInterface, host []netip.Addr, replace bool) (lost []netip.Addr, err error) {
	former := FormerClaim(owner, h)
	const tries = 20 // addresses of a LAN that is full
	for range tries {
		var now network.Table
		err := ts.Change(ctx, h.Network, func(t *network.Table) error {
			ts.SweepClaims(t, owner)
			lost, err = t.Reclaim(former, host, replace)
			now = *t
			return err
		})
		if err != nil || now.LANLink() == "" {
			return lost, err
		}
		claim, _ := ClaimOf(now, owner, h.Name)
		found, err := ts.Host.Answering(ctx, now.LANLink(), claim.Addresses)
		if err != nil || len(found) == 0 {
			return lost, err
		}
		for a := range found {
			host = append(host, a)
		}
		if !replace {
			err = TakenOnLAN(now, claim.Addresses, found)
		}
		again := ts.Change(context.WithoutCancel(ctx), h.Network, func(t *network.Table) error {
			t.Unclaim(owner, h.Name)
			return nil
		})
		if err := errors.Join(err, again); err != nil {
			return nil, err
		}
	}
	return nil, fail.New(fail.Taken, "network %s: every address that was tried is in use on its LAN", h.Network)
}
