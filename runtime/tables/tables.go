// Package tables reads and changes the tables of networks: which VPS has which
// address on which interface.
package tables

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
)

// Tables are the tables of the networks in a store.
type Tables struct {
	Store   *state.Store
	Host    Host
	Remains func(name string) ([]int, error) // processes of a VPS, whatever its files say
	Command string                           // the holder of locks: "croft create web"
	Warn    func(string)
}

// Host is what the tables need to know of the host's network.
type Host interface {
	// Addresses returns the addresses of the host.
	Addresses() ([]netip.Addr, error)
	// Seed returns prefixes that the host does not use, for a new network.
	Seed(name string) (network.Seed, error)
	// Answering returns those of addrs that a machine on the LAN of link uses,
	// with its MAC address. It is empty if link is empty.
	Answering(ctx context.Context, link string, addrs []netip.Addr) (map[netip.Addr]string, error)
}

// decode parses the table of a network. With owners the table has only their
// claims, and must not be changed. The error names the network and the file.
func (ts Tables) decode(name string, files state.NetworkTable, owners ...vps.Name) (network.Table, error) {
	read := network.Decode
	if len(owners) > 0 {
		read = func(f network.Files) (network.Table, error) { return network.DecodeOf(f, owners...) }
	}
	t, err := read(network.Files(files))
	if err == nil && t.Name != name {
		err = fmt.Errorf("it is the table of %q", t.Name)
	}
	if err != nil {
		return network.Table{}, fail.New(fail.State, "cannot read network %s from %s: %w", name, ts.Store.NetworkFile(name), err).
			WithHint("croft network repair %s", name)
	}
	return t, nil
}

// Get returns the table of a network. With owners it has only their claims, and
// must not be changed. A missing network is fail.NotFound.
func (ts Tables) Get(name string, owners ...vps.Name) (network.Table, error) {
	files, err := ts.Store.Network(name)
	if err != nil {
		return network.Table{}, err
	}
	return ts.Existing(name, files, owners...)
}

// Existing is Get for files that have been read.
func (ts Tables) Existing(name string, files state.NetworkTable, owners ...vps.Name) (network.Table, error) {
	if files.Settings == nil {
		return network.Table{}, fail.New(fail.NotFound, "no network named %q", name).WithHint("croft network list")
	}
	return ts.decode(name, files, owners...)
}

// All returns the tables of all networks. A table that cannot be read is a warning
// and left out.
func (ts Tables) All() map[string]network.Table { return ts.Mentioning("") }

// Mentioning returns the tables of All in which the VPS has claims, with its claims
// alone; if owner is empty, all tables with all claims.
func (ts Tables) Mentioning(owner vps.Name) map[string]network.Table {
	var owners []vps.Name
	if owner != "" {
		owners = []vps.Name{owner}
	}
	tables := map[string]network.Table{}
	names, err := ts.Store.Networks()
	if err != nil {
		ts.Warn(err.Error())
	}
	for _, name := range names {
		files, err := ts.Store.Network(name)
		if err == nil && files.Settings != nil && (owner == "" || network.Files(files).Mention(owner)) {
			var t network.Table
			if t, err = ts.decode(name, files, owners...); err == nil {
				tables[name] = t
			}
		}
		if err != nil {
			ts.Warn(err.Error())
		}
	}
	return tables
}

// Of returns the tables of v's networks, with v's claims alone. A table that cannot
// be read is a warning and left out.
func (ts Tables) Of(v vps.VPS) map[string]network.Table {
	tables := map[string]network.Table{}
	for _, name := range NetworksOf(v) {
		t, err := ts.Get(name, v.Name, v.RenamedFrom)
		if err != nil {
			ts.Warn(err.Error())
			continue
		}
		tables[name] = t
	}
	return tables
}

// Owned is an index of tables by the owners of their claims. A search of all
// claims for each of many VPSs takes a time quadratic in their number.
type Owned struct {
	tables map[string]network.Table
	claims map[string]map[vps.Name][]network.Claim // by network and owner
}

// ByOwner indexes tables.
func ByOwner(tables map[string]network.Table) Owned {
	all := Owned{tables, map[string]map[vps.Name][]network.Claim{}}
	for name, t := range tables {
		owners := make(map[vps.Name][]network.Claim, len(t.Claims))
		for _, c := range t.Claims {
			owners[c.Owner] = append(owners[c.Owner], c)
		}
		all.claims[name] = owners
	}
	return all
}

// Of returns the tables of v's networks with v's claims alone.
func (o Owned) Of(v vps.VPS) map[string]network.Table {
	mine := map[string]network.Table{}
	for _, name := range NetworksOf(v) {
		t, ok := o.tables[name]
		if !ok {
			continue
		}
		t.Claims = o.claims[name][v.Name]
		if v.RenamedFrom != "" {
			t.Claims = slices.Concat(t.Claims, o.claims[name][v.RenamedFrom])
		}
		mine[name] = t
	}
	return mine
}

// Change changes the table of a network under its lock. It creates the default
// network if that does not exist.
func (ts Tables) Change(ctx context.Context, name string, change func(*network.Table) error) error {
	return ts.Store.UpdateNetwork(ctx, name, func(old state.NetworkTable) (state.NetworkChange, error) {
		t, err := ts.decodeOrDefault(name, old)
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

func (ts Tables) decodeOrDefault(name string, files state.NetworkTable) (network.Table, error) {
	if files.Settings != nil {
		return ts.decode(name, files)
	}
	if name != network.DefaultName {
		return network.Table{}, fail.New(fail.NotFound, "no network named %q", name).WithHint("croft network list")
	}
	seed, err := ts.Host.Seed(name)
	if err != nil {
		return network.Table{}, err
	}
	for _, other := range ts.All() { // the host may not have a route to it yet
		seed.Avoid = append(seed.Avoid, other.IPv4)
	}
	return network.Default(seed), nil
}

// ClaimOf returns the claim of interface iface of a VPS.
func ClaimOf(t network.Table, owner vps.Name, iface string) (network.Claim, bool) {
	for _, c := range t.Of(owner) {
		if c.Interface == iface {
			return c, true
		}
	}
	return network.Claim{}, false
}

// NetworksOf returns the names of the networks of v, one for each interface.
func NetworksOf(v vps.VPS) []string {
	var all []string
	for _, i := range v.Interfaces {
		all = append(all, i.Network)
	}
	return all
}
