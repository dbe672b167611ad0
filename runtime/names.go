package runtime

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
	"sync"

	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
	"croft/network/guest"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// VPSs reach each other by name: each one's /etc/hosts has those that share a
// network with it. A VPS that has been started keeps its name as long as its
// addresses, so a stop and the next start change nothing in others.

// hostsFor are the VPSs that v reaches by name, itself among them, sorted by
// name, with their addresses in the networks that they share with v, in the
// order of v's interfaces. In a private network, and in one without names, it
// is alone.
func hostsFor(v vps.VPS, tables map[string]network.Table) []guest.Host {
	addresses := map[string]*guest.Host{}
	seen := map[string]bool{}
	for _, i := range v.Interfaces {
		if seen[i.Network] {
			continue
		}
		seen[i.Network] = true
		t := tables[i.Network]
		for _, c := range t.Claims {
			if hidesNames(t) && c.Owner != v.Name || len(c.Addresses) == 0 {
				continue
			}
			if addresses[c.Owner] == nil {
				addresses[c.Owner] = &guest.Host{Name: c.Owner}
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

// hidesNames reports whether VPSs of the network do not learn of each other.
func hidesNames(t network.Table) bool { return t.Private || t.NoNames }

// tellNames makes every VPS that runs on one of the networks know who else is
// there. Those that know are not touched. A VPS that cannot be told is a warning:
// it is told at its next start. Those that do not run cost nothing, however many
// they are.
func (m *Manager) tellNames(ctx context.Context, networks []string) {
	m.spreadNames(ctx, networks, m.knowsNames)
}

// repeatNames is tellNames for VPSs that may have lost what they were told.
func (m *Manager) repeatNames(ctx context.Context, networks []string) {
	m.spreadNames(ctx, networks, func(string, hostList) bool { return false })
}

func (m *Manager) spreadNames(ctx context.Context, networks []string, knows func(name string, l hostList) bool) {
	if len(networks) == 0 {
		return
	}
	err := m.store.Naming(ctx, func() error {
		audience, err := m.runningOn(networks)
		if err != nil || len(audience) == 0 {
			return err
		}
		hosts := hostLists{tables: m.networkTables().All()}
		var group sync.WaitGroup
		room := make(chan struct{}, max(4, goruntime.NumCPU()))
		failures := make([]error, len(audience))
		for i, v := range audience {
			list := hosts.of(v)
			if knows(v.Name, list) {
				continue
			}
			room <- struct{}{}
			group.Go(func() {
				failures[i] = m.tellRunning(ctx, v, list)
				<-room
			})
		}
		group.Wait()
		return errors.Join(failures...)
	})
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			m.warn(line)
		}
	}
}

// runningOn returns the VPSs on one of the networks that may run: the kernel has
// a cgroup of theirs.
func (m *Manager) runningOn(networks []string) ([]vps.VPS, error) {
	names, err := m.containers.Remaining()
	if err != nil {
		return nil, err
	}
	var all []vps.VPS
	for _, name := range slices.Sorted(maps.Keys(names)) {
		v, err := m.store.Get(name)
		if err != nil {
			continue // another root's, or broken
		}
		if slices.ContainsFunc(tables.NetworksOf(v), func(n string) bool { return slices.Contains(networks, n) }) {
			all = append(all, v)
		}
	}
	return all, nil
}

// A hostList is the VPSs that one reaches by name, with a sum by which another
// list is told from it.
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

// hostLists makes the list of hostsFor once for all VPSs that have the same one.
type hostLists struct {
	tables map[string]network.Table
	shared map[string]hostList // by the names of the networks
}

// of is hostsFor(v). The result is shared and must not be changed.
func (h *hostLists) of(v vps.VPS) hostList {
	on := tables.NetworksOf(v)
	if slices.ContainsFunc(on, func(n string) bool { return hidesNames(h.tables[n]) }) {
		return newHostList(hostsFor(v, h.tables))
	}
	key := strings.Join(on, " ")
	if _, known := h.shared[key]; !known {
		if h.shared == nil {
			h.shared = map[string]hostList{}
		}
		h.shared[key] = newHostList(hostsFor(v, h.tables))
	}
	return h.shared[key]
}

// knowsNames reports whether the VPS was told this list last, in this run of it.
// One that could not be told counts as well: it is not tried again for the same list.
func (m *Manager) knowsNames(name string, l hostList) bool {
	told, err := os.ReadFile(paths.ToldNames(m.store, name))
	return err == nil && string(told) == l.sum
}

// noteNames notes that the VPS was told the list. Without the note it is told
// again, so a failure does not matter.
func (m *Manager) noteNames(name string, l hostList) {
	_ = os.WriteFile(paths.ToldNames(m.store, name), []byte(l.sum), 0o600)
}

// tellRunning writes the names into v, if it runs.
func (m *Manager) tellRunning(ctx context.Context, v vps.VPS, l hostList) error {
	seen, err := m.observe(v.Name)
	if err != nil || !seen.Alive {
		return err
	}
	err = inside.InRoot(ctx, seen.Init(), func(root *inside.Root) error {
		return orWarnings(m.guests.Hosts(root, v.IDs.First, l.hosts))
	})
	if errors.Is(err, inside.ErrGone) {
		return nil // it reads them at its new start
	}
	m.noteNames(v.Name, l)
	if err != nil {
		return fmt.Errorf("%s does not know the names of other VPSs until its next start: %w", v.Name, err)
	}
	return nil
}

// orWarnings is an error for someone to whom a warning is one.
func orWarnings(warnings []string, err error) error {
	if err == nil && len(warnings) > 0 {
		return errors.New(strings.Join(warnings, "; "))
	}
	return err
}

// learnNames writes the names into v at root, which is about to run: VPSs that
// were started since its files were written, and did not see it running, have
// not told it.
func (m *Manager) learnNames(ctx context.Context, v vps.VPS, root *inside.Root) error {
	return m.store.Naming(ctx, func() error {
		list := newHostList(hostsFor(v, m.networkTables().All()))
		warnings, err := m.guests.Hosts(root, v.IDs.First, list.hosts)
		m.warnAll(v.Name, warnings)
		if err == nil {
			m.noteNames(v.Name, list)
		}
		return err
	})
}

// warnAll warns of each of warnings about the VPS name.
func (m *Manager) warnAll(name string, warnings []string) {
	for _, w := range warnings {
		m.warn(name + ": " + w)
	}
}
