// Package names lets VPSs reach each other by name: /etc/hosts of each VPS lists
// the VPSs that share a network with it. A VPS that was started keeps its name as
// long as its addresses, so its stop and its next start change nothing in others.
package names

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	goruntime "runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/network/guest"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// Names writes the names of VPSs into other VPSs.
type Names struct {
	Store     *state.Store
	Tables    tables.Tables
	Observer  observe.Observer
	Guests    Guests
	Remaining func() (map[string]bool, error) // VPSs that may have processes
	Warn      func(string)
}

// Guests writes files inside VPSs.
type Guests interface {
	// Hosts makes /etc/hosts below root list all. first is the id on the host of
	// root inside.
	Hosts(root *inside.Root, first uint32, all []guest.Host) (warnings []string, err error)
}

// HostsFor returns the VPSs that v reaches by name, v included, sorted by name.
// Each has its addresses in the networks that it shares with v, in the order of
// v's interfaces. In a private network, and in a network without names, v is
// alone.
func HostsFor(v vps.VPS, networks map[string]network.Table) []guest.Host {
	addresses := map[vps.Name]*guest.Host{}
	seen := map[string]bool{}
	for _, i := range v.Interfaces {
		if seen[i.Network] {
			continue
		}
		seen[i.Network] = true
		t := networks[i.Network]
		for _, c := range t.Claims {
			if hidesNames(t) && c.Owner != v.Name || len(c.Addresses) == 0 {
				continue
			}
			if addresses[c.Owner] == nil {
				addresses[c.Owner] = &guest.Host{Name: string(c.Owner)}
			}
			addresses[c.Owner].Addresses = append(addresses[c.Owner].Addresses, c.Addresses...)
		}
	}
	var all []guest.Host
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		all = append(all, *addresses[name])
	}
	return all
}

// hidesNames reports whether VPSs of a network do not get each other's names.
func hidesNames(t network.Table) bool { return t.Private || t.NoNames }

// Update writes the names into each running VPS of the networks whose list has
// changed. A VPS that cannot be written to is a warning: it gets the list at its
// next start. Stopped VPSs take no time, however many there are.
func (n Names) Update(ctx context.Context, networks []string) {
	n.update(ctx, networks, n.isCurrent)
}

// Rewrite is Update that writes into each VPS, whether its list has changed or
// not.
func (n Names) Rewrite(ctx context.Context, networks []string) {
	n.update(ctx, networks, func(vps.Name, hostList) bool { return false })
}

func (n Names) update(ctx context.Context, networks []string, current func(name vps.Name, l hostList) bool) {
	if len(networks) == 0 {
		return
	}
	err := n.Store.WithNamesLock(ctx, func() error {
		audience, err := n.runningOn(networks)
		if err != nil || len(audience) == 0 {
			return err
		}
		hosts := hostLists{tables: n.Tables.All()}
		var group errgroup.Group
		group.SetLimit(max(4, goruntime.NumCPU()))
		failures := make([]error, len(audience))
		for i, v := range audience {
			list := hosts.of(v)
			if current(v.Name, list) {
				continue
			}
			group.Go(func() error {
				failures[i] = n.write(ctx, v, list)
				return nil // a failure does not stop the others
			})
		}
		return errors.Join(append(failures, group.Wait())...)
	})
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			n.Warn(line)
		}
	}
}

// runningOn returns the VPSs on one of the networks that may run, because the
// kernel has a cgroup for them.
func (n Names) runningOn(networks []string) ([]vps.VPS, error) {
	ids, err := n.Remaining()
	if err != nil {
		return nil, err
	}
	var all []vps.VPS
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		name, err := vps.ParseName(id)
		if err != nil {
			continue // a container
		}
		v, err := n.Store.Get(name)
		if err != nil {
			continue // a VPS of another root, or a broken one
		}
		if slices.ContainsFunc(tables.NetworksOf(v), func(n string) bool { return slices.Contains(networks, n) }) {
			all = append(all, v)
		}
	}
	return all, nil
}

// A hostList is the VPSs that a VPS reaches by name, with a checksum of them.
type hostList struct {
	hosts []guest.Host
	sum   string
}

func newHostList(hosts []guest.Host) hostList {
	h := sha256.New()
	for _, host := range hosts {
		fmt.Fprintln(h, host.Name, host.Addresses)
	}
	return hostList{hosts, fmt.Sprintf("%x", h.Sum(nil))}
}

// hostLists makes the list of HostsFor once for all VPSs on the same networks.
type hostLists struct {
	tables map[string]network.Table
	shared map[string]hostList // by the names of the networks
}

// of is HostsFor(v). The result is shared and must not be changed.
func (h *hostLists) of(v vps.VPS) hostList {
	on := tables.NetworksOf(v)
	if slices.ContainsFunc(on, func(n string) bool { return hidesNames(h.tables[n]) }) {
		return newHostList(HostsFor(v, h.tables))
	}
	key := strings.Join(on, " ")
	if _, known := h.shared[key]; !known {
		if h.shared == nil {
			h.shared = map[string]hostList{}
		}
		h.shared[key] = newHostList(HostsFor(v, h.tables))
	}
	return h.shared[key]
}

// isCurrent reports whether this list was the last one written into the running
// VPS. An attempt that failed counts too: the same list is not tried again.
func (n Names) isCurrent(name vps.Name, l hostList) bool {
	told, err := os.ReadFile(paths.ToldNames(n.Store, name))
	return err == nil && string(told) == l.sum
}

// note notes that the list was written into the VPS. A failure does not matter:
// without the note the list is written again.
func (n Names) note(name vps.Name, l hostList) {
	_ = os.WriteFile(paths.ToldNames(n.Store, name), []byte(l.sum), 0o600)
}

// write writes the list into v. No-op if v does not run.
func (n Names) write(ctx context.Context, v vps.VPS, l hostList) error {
	seen, err := n.Observer.Observe(v.Name)
	if err != nil || !seen.Alive {
		return err
	}
	err = inside.InRoot(ctx, seen.Init(), func(root *inside.Root) error {
		return orWarnings(n.Guests.Hosts(root, v.IDs.First, l.hosts))
	})
	if errors.Is(err, inside.ErrGone) {
		return nil // it gets the list at its next start
	}
	n.note(v.Name, l)
	if err != nil {
		return fmt.Errorf("%s does not know the names of other VPSs until its next start: %w", v.Name, err)
	}
	return nil
}

// orWarnings makes warnings an error.
func orWarnings(warnings []string, err error) error {
	if err == nil && len(warnings) > 0 {
		return errors.New(strings.Join(warnings, "; "))
	}
	return err
}

// AtStart writes the list into v, which is about to run, below root. VPSs that
// were created since its files were written have not done that, because v did not
// run.
func (n Names) AtStart(ctx context.Context, v vps.VPS, root *inside.Root) error {
	return n.Store.WithNamesLock(ctx, func() error {
		list := newHostList(HostsFor(v, n.Tables.All()))
		warnings, err := n.Guests.Hosts(root, v.IDs.First, list.hosts)
		for _, w := range warnings {
			n.Warn(string(v.Name) + ": " + w)
		}
		if err == nil {
			n.note(v.Name, list)
		}
		return err
	})
}
