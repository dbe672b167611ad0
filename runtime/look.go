package runtime

import (
	"context"
	"net/netip"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"sync"
	"time"

	"croft/bundles"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/endreason"
	"croft/runtime/hostfacts"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// askPatience is how long a list may wait for guests.
const askPatience = time.Second

// List describes all VPSs, sorted by name. It takes no lock; one whose files
// cannot be read is StatusBroken and does not hide the others.
func (m *Manager) List(ctx context.Context) ([]Info, error) {
	if !m.readOnly {
		m.collectAbandoned(ctx)
	}
	entries, err := m.store.All()
	if err != nil {
		return nil, err
	}
	claims := tables.ByOwner(m.networkTables().All())
	strays, err := m.containers.Remaining()
	if err != nil {
		m.warn(err.Error())
	}
	// All guests together that have to be asked whether they have booted have this
	// long to answer, so that none of them delays a list for longer.
	asking, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	all := make([]Info, len(entries))
	var group sync.WaitGroup
	workers := max(4, goruntime.GOMAXPROCS(0))
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(entries) && ctx.Err() == nil; i += workers {
				e := entries[i]
				if e.Err == nil {
					e.Err = whole(e.VPS)
				}
				if e.Err != nil {
					all[i] = broken(e.Name, e.Err)
					continue
				}
				all[i] = m.describe(asking, e.VPS, claims.Of(e.VPS), strays)
				if all[i].Status == StatusStopped && all[i].ShouldRun && !m.readOnly && m.reviveIfFallen(ctx, e.Name) {
					all[i] = m.describe(asking, e.VPS, claims.Of(e.VPS), strays)
				}
			}
		})
	}
	group.Wait()
	return all, ctx.Err()
}

// Inspect describes one VPS, with what its filters dropped.
func (m *Manager) Inspect(ctx context.Context, name string) (Info, error) {
	if _, err := vps.ParseName(name); err != nil {
		return Info{}, err
	}
	v, err := m.store.Get(name)
	if err != nil {
		return Info{}, err
	}
	if err := whole(v); err != nil {
		return Info{}, err
	}
	m.recoverIfFree(ctx, name)
	info := m.describe(ctx, v, m.networkTables().Of(v), map[string]bool{name: true})
	if info.Status == StatusStopped {
		return info, nil
	}
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return Info{}, err
	}
	for i, p := range plugs {
		if info.Interfaces[i].ConnectionLimit, err = m.networks.ConnectionLimit(p.Plan); err != nil {
			return Info{}, err
		}
		dropped, err := m.networks.Dropped(p.Plan)
		if err != nil {
			return Info{}, err
		}
		info.Interfaces[i].Dropped = map[string]uint64{}
		for reason, packets := range dropped {
			info.Interfaces[i].Dropped[string(reason)] = packets
		}
	}
	return info, nil
}

func broken(name string, err error) Info {
	return Info{Name: name, Status: StatusBroken, Error: err.Error(), Interfaces: []InterfaceInfo{}, Published: []vps.Publication{}, Labels: map[string]string{}}
}

// describe tells what there is to tell about v. perhaps are the VPSs that may
// have processes though their files say that they are stopped.
func (m *Manager) describe(ctx context.Context, v vps.VPS, networks map[string]network.Table, perhaps map[string]bool) Info {
	info := Info{
		Name: v.Name, UUID: v.UUID, Hostname: v.Hostname, Template: v.Template.Name, Digest: v.Template.Digest,
		Created: v.Created, IDs: v.IDs, Privileged: v.Privileged, Limits: hostfacts.EffectiveLimits(v.Limits, m.capacity()), Ephemeral: v.Ephemeral, Labels: v.Labels,
		OnBoot: v.OnBoot.String(), BootOrder: v.BootOrder, StopAfter: seconds(stopTimeout(v)),
		Interfaces: describeInterfaces(v, networks), Published: append([]vps.Publication{}, v.Published...),
		Allow:  append([]string{}, v.Allow...),
		Bundle: m.store.BundleDir(v.Name), Files: filepath.Join(m.store.FSDir(v.Name), "upper"),
		MonitorLog: paths.MonitorLog(m.store, v.Name),
	}
	if info.Labels == nil {
		info.Labels = map[string]string{}
	}
	seen, err := m.observe(v.Name)
	if err == nil {
		info.ShouldRun, err = m.store.ShouldRun(v.Name)
	}
	if err == nil {
		info.Status, err = m.observer().Status(seen)
	}
	if err == nil && info.Status == StatusStopped && perhaps[v.Name] {
		var pids []int
		if pids, err = m.containers.Remains(v.Name); len(pids) > 0 {
			info.Status = StatusOrphaned
		}
	}
	if err != nil {
		info.Status, info.Error = StatusBroken, err.Error()
		return info
	}
	run := seen.Run
	info.Boot, info.LastEnd = run.Boot, run.End
	if seen.EndedUnseen() || run.State == state.Starting {
		info.LastEnd = new(endreason.Unseen())
	}
	if info.Status == StatusStopped {
		return info
	}
	info.Cgroup = m.cgroupsPath(v.Name)
	info.PID, info.MonitorPID, info.Started = run.Init.PID, run.Monitor.PID, &run.Started
	info.LastEnd = nil
	switch info.Status {
	case StatusOrphaned:
		info.MonitorPID = 0
	case StatusStopping:
		info.PID = 0
	}
	info.Booted = m.booted(ctx, v.Name, run)
	return info
}

// cgroupsPath is what the VPS's bundle says, as long as there is one.
func (m *Manager) cgroupsPath(name string) string {
	spec, err := bundles.Read(m.store.BundleDir(name))
	if err != nil || spec.Linux == nil {
		return ""
	}
	return spec.Linux.CgroupsPath
}

func describeInterfaces(v vps.VPS, networks map[string]network.Table) []InterfaceInfo {
	all := []InterfaceInfo{}
	for _, i := range v.Interfaces {
		info := InterfaceInfo{Name: i.Name, Network: i.Network, Addresses: []string{}, Rate: i.Rate}
		t := networks[i.Network]
		c, ok := tables.ClaimOf(t, v.Name, i.Name)
		if !ok { // a rename that was cut short has not come there
			c, ok = tables.ClaimOf(t, v.RenamedFrom, i.Name)
		}
		if ok {
			info.HostLink, info.MAC, info.Connections = c.HostLink, c.MAC, c.Connections
			addrs := slices.Clone(c.Addresses)
			slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
			for _, a := range addrs {
				info.Addresses = append(info.Addresses, t.WithBits(a).String())
			}
		}
		all = append(all, info)
	}
	return all
}

// ResolveNames returns the VPSs that a command is for: those named, or all.
// Names that make no sense are fail.Usage.
func (m *Manager) ResolveNames(all bool, names []string) ([]string, error) {
	if !all {
		for _, n := range names {
			if _, err := vps.ParseName(n); err != nil {
				return nil, err
			}
		}
		return names, nil
	}
	return m.store.Names()
}
