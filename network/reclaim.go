package network

import (
	"net/netip"
	"slices"

	"croft/internal/vps"
)

// Reclaim gives an interface back what it owned before its claim was released:
// its addresses, MAC and limit of connections. It gets a new host link, and a
// new MAC if another interface has its own. An address that another owner, or
// the host, has now is fail.Taken; an address that the network cannot have any
// more is fail.Usage. With replace there is no error for these: they are
// returned as lost, and a family that has no address then gets a free one. On
// error Reclaim records nothing. No-op if the interface has a claim.
func (t *Table) Reclaim(former Claim, hostAddrs []netip.Addr, replace bool) (lost []netip.Addr, err error) {
	if _, err := t.claim(former.Owner, former.Interface); err == nil {
		return nil, nil
	}
	hostAddrs = unmapped(hostAddrs)
	var want []netip.Addr
	for _, a := range unmapped(former.Addresses) {
		err := t.checkWanted([]netip.Addr{a}, hostAddrs)
		switch {
		case err == nil:
			want = append(want, a)
		case replace:
			lost = append(lost, a)
		default:
			return nil, err
		}
	}
	c, err := t.Claim(former.Owner, former.Interface, want, hostAddrs)
	if err != nil {
		return nil, err
	}
	i, err := t.claim(former.Owner, former.Interface)
	if err != nil {
		return nil, err
	}
	// Claim completes families that the interface did not have.
	c.Addresses = slices.DeleteFunc(slices.Clone(c.Addresses), func(a netip.Addr) bool {
		return !slices.ContainsFunc(former.Addresses, func(f netip.Addr) bool { return f.Unmap().Is4() == a.Is4() })
	})
	if t.macIsFree(former.MAC) && c.MAC != "" {
		c.MAC = former.MAC
	}
	c.Connections = former.Connections
	t.Claims[i] = c
	return lost, nil
}

// macIsFree reports whether an interface of the network can have mac.
func (t *Table) macIsFree(mac string) bool {
	return mac != "" && mac != t.MAC && !slices.ContainsFunc(t.Claims, func(o Claim) bool { return o.MAC == mac })
}

// Unclaim removes the claim of one interface. No-op if there is none.
func (t *Table) Unclaim(owner vps.Name, iface string) {
	t.Claims = slices.DeleteFunc(t.Claims, func(c Claim) bool { return c.Owner == owner && c.Interface == iface })
}
